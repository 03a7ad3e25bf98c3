//! `cargo xtask picture`: the demo as a picture of a terminal, for the README.
//!
//! It runs the demo and draws what it printed. Long chapters are cut in their middle, and say how much was
//! left out; ports, which differ each time, are taken out.

use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::{screen, workspace};

/// Where the picture is kept.
pub(crate) const PICTURE: &str = "docs/demo.svg";
/// Columns of the terminal: what the demo wraps its lines to, and a little more.
const COLUMNS: usize = 84;
/// How much of a chapter is shown: lines at its beginning, and at its end.
const SHOWN: (usize, usize) = (9, 4);
/// Sizes in pixels.
const LINE_HEIGHT: usize = 18;
const CHARACTER_WIDTH: f64 = 8.0;
const MARGIN: usize = 16;
const BAR_HEIGHT: usize = 32;

/// Runs the demo and draws it.
pub(crate) fn run() -> Result<()> {
    screen::line("running the demo; its picture follows");
    let ended = workspace::cargo(&["xtask", "demo"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .context("could not run the demo")?;
    ensure!(ended.status.success(), "the demo ended with {}", ended.status);
    let printed = String::from_utf8(ended.stdout).context("what the demo printed")?;
    let lines = shortened(&printed);
    ensure!(lines.len() > 20, "the demo printed only {} lines", lines.len());
    let path = workspace::root().join(PICTURE);
    std::fs::write(&path, drawn(&lines)).with_context(|| path.display().to_string())?;
    screen::line(&format!("{PICTURE}: {} lines", lines.len()));
    Ok(())
}

/// The lines that are drawn: each chapter's beginning and end.
fn shortened(printed: &str) -> Vec<String> {
    let mut lines = vec!["$ cargo xtask demo".to_owned()];
    let mut chapter: Vec<String> = Vec::new();
    let mut end = |chapter: &mut Vec<String>| {
        let (first, last) = SHOWN;
        let left_out = chapter.len().saturating_sub(first + last);
        // One line that says that one was left out is no gain.
        if left_out > 1 {
            let cut = first..first + left_out;
            chapter.splice(cut, [format!("    ⋮ {left_out} more lines")]);
        }
        lines.append(chapter);
    };
    for line in printed.lines() {
        if heading(line) {
            end(&mut chapter);
        }
        chapter.push(steady(line));
    }
    end(&mut chapter);
    lines
}

/// Whether a line begins a chapter: `[3/7] Install`.
fn heading(line: &str) -> bool {
    line.strip_prefix('[').and_then(|rest| rest.split_once(']')).is_some_and(|(number, _)| {
        number.split('/').all(|part| !part.is_empty() && part.bytes().all(|each| each.is_ascii_digit()))
    })
}

/// The line without the ports of this run.
fn steady(line: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut steady = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(HOST) {
        steady.push_str(before);
        steady.push_str(HOST);
        steady.push('…');
        rest = after.trim_start_matches(|each: char| each.is_ascii_digit());
    }
    steady.push_str(rest);
    steady.trim_end().to_owned()
}

/// The picture.
fn drawn(lines: &[String]) -> String {
    let width = (COLUMNS as f64 * CHARACTER_WIDTH) as usize + 2 * MARGIN;
    let height = BAR_HEIGHT + lines.len() * LINE_HEIGHT + 2 * MARGIN;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         role=\"img\" aria-label=\"What cargo xtask demo prints\">\n\
         <!-- Made by `cargo xtask picture` from a run of the demo. -->\n\
         <style>text{{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;\
         fill:#d5dbe3;white-space:pre}}.title{{fill:#7fd1ff;font-weight:bold}}.command{{fill:#a5e07f}}\
         .note{{fill:#e8c66b}}.quiet{{fill:#8b95a3}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#161b22\"/>\n"
    );
    for (number, colour) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
        let _ = writeln!(
            picture,
            "<circle cx=\"{}\" cy=\"{}\" r=\"6\" fill=\"{colour}\"/>",
            MARGIN + 6 + number * 20,
            BAR_HEIGHT / 2 + 2
        );
    }
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let class = class(line).map(|class| format!(" class=\"{class}\"")).unwrap_or_default();
        let y = BAR_HEIGHT + MARGIN + number * LINE_HEIGHT;
        let _ = writeln!(picture, "<text x=\"{MARGIN}\" y=\"{y}\"{class}>{}</text>", escaped(line));
    }
    picture.push_str("</svg>\n");
    picture
}

fn class(line: &str) -> Option<&'static str> {
    let words = line.trim_start();
    if heading(line) {
        Some("title")
    } else if words.starts_with("$ ") {
        Some("command")
    } else if words.starts_with("warning") || words.starts_with("note") {
        Some("note")
    } else if words.starts_with('⋮') || words.starts_with("skipped") {
        Some("quiet")
    } else {
        None
    }
}

fn escaped(line: &str) -> String {
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{PICTURE, drawn, shortened, steady};
    use crate::workspace;

    #[test]
    fn long_chapters_are_cut_and_ports_are_taken_out() {
        let mut printed = String::from("first\n\n[1/7] Look\n");
        (0..40).for_each(|number| printed.push_str(&format!("  line {number}\n")));
        printed.push_str("[2/7] Install\n  short\n");
        let lines = shortened(&printed);
        assert_eq!(lines[0], "$ cargo xtask demo");
        assert!(lines.contains(&"    ⋮ 28 more lines".to_owned()), "{lines:?}");
        assert!(lines.contains(&"  line 39".to_owned()) && lines.contains(&"  short".to_owned()));
        assert_eq!(
            steady("at https://127.0.0.1:40123/x and 127.0.0.1:1 "),
            "at https://127.0.0.1:…/x and 127.0.0.1:…"
        );
    }

    #[test]
    fn what_is_drawn_is_escaped() {
        let picture = drawn(&["[1/7] a <b> & c".to_owned()]);
        assert!(picture.contains("class=\"title\">[1/7] a &lt;b&gt; &amp; c</text>"), "{picture}");
    }

    #[test]
    fn the_readme_shows_the_picture_and_it_has_every_chapter() {
        let read = |path: &str| std::fs::read_to_string(workspace::root().join(path)).expect("a file");
        assert!(read("README.md").contains(PICTURE));
        let picture = read(PICTURE);
        for chapter in 1..=crate::demo::CHAPTERS {
            let heading = format!("[{chapter}/{}]", crate::demo::CHAPTERS);
            assert!(picture.contains(&heading), "no {heading}: run `cargo xtask picture`");
        }
        assert!(picture.contains("rows before"), "the second run is shown: run `cargo xtask picture`");
    }
}
