//! Bars side by side, as an SVG picture that shows on light and dark pages.

use std::fmt::Write as _;

use super::figures::number;

/// Bars of one unit under a heading.
pub(super) struct Group {
    pub(super) heading: String,
    /// Name, value and whether it is ours.
    pub(super) bars: Vec<(&'static str, f64, Whose)>,
}

/// Whose bar it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    Theirs,
    Bound,
}

const WIDTH: f64 = 720.0;
/// Where bars begin: left of it stand their names.
const BARS_AT: f64 = 170.0;
/// What is kept for the number behind the longest bar.
const NUMBER_WIDTH: f64 = 80.0;
const BAR_STEP: f64 = 26.0;
const BAR_HEIGHT: f64 = 18.0;
const HEADING_STEP: f64 = 34.0;

/// The picture.
pub(super) fn svg(title: &str, groups: &[Group]) -> String {
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = HEADING_STEP * groups.len() as f64 + BAR_STEP * rows as f64 + 16.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>{}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        escaped(title)
    );
    let mut y = 0.0;
    for group in groups {
        y += HEADING_STEP;
        let _ = writeln!(
            out,
            "<text x=\"12\" y=\"{}\" font-weight=\"bold\" fill=\"#1f2328\">{}</text>",
            y - 8.0,
            escaped(&group.heading)
        );
        let most = group.bars.iter().map(|(_, value, _)| *value).fold(f64::MIN_POSITIVE, f64::max);
        for (name, value, whose) in &group.bars {
            let length = (WIDTH - BARS_AT - NUMBER_WIDTH) * (value / most);
            let fill = match whose {
                Whose::Ours => "#1a7f37",
                Whose::Theirs => "#8c959f",
                Whose::Bound => "#54aeff",
            };
            let text_y = y + 14.0;
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{text_y}\" text-anchor=\"end\" fill=\"#1f2328\">{}</text>\
                 <rect x=\"{BARS_AT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{fill}\"/>\
                 <text x=\"{:.1}\" y=\"{text_y}\" fill=\"#1f2328\">{}</text>",
                BARS_AT - 8.0,
                escaped(name),
                length.max(1.0),
                BARS_AT + length.max(1.0) + 6.0,
                number(*value),
            );
            y += BAR_STEP;
        }
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{Group, Whose, svg};

    #[test]
    fn the_longest_bar_takes_the_room_and_the_others_their_share() {
        let bars = vec![("peer & co", 40.0, Whose::Theirs), ("worker", 10.0, Whose::Ours)];
        let picture = svg("CPU", &[Group { heading: "seconds".to_owned(), bars }]);
        assert!(picture.contains("width=\"470.0\"") && picture.contains("width=\"117.5\""), "{picture}");
        assert!(picture.contains("peer &amp; co") && picture.ends_with("</svg>\n"), "{picture}");
    }
}
