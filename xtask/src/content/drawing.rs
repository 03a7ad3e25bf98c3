//! A tile's rows as the workbook would show them, drawn as SVG.

use anyhow::{Context, Result, bail};
use installer::content::workbook::Tile;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::engine::Outcome;
use crate::cell;

/// Where everything is drawn.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const CHART_SIZE: (u32, u32) = (720, 300);
const TABLE_WIDTH: u32 = 1000;
const FONT: &str = "sans-serif";
const HEADING_SIZE: i32 = 18;
const TEXT_SIZE: i32 = 13;
const LINE_HEIGHT: i32 = 22;
const MARGIN: i32 = 12;
/// Where the drawing begins, under the heading.
const TOP: i32 = 40;
/// About how wide a character is at [`TEXT_SIZE`].
const CHARACTER_WIDTH: f64 = 6.3;
/// The most rows of a table that are drawn; the workbook scrolls.
const MOST_ROWS: usize = 8;
/// The narrowest and the widest column of a table, in characters.
const NARROWEST: usize = 6;
const WIDEST: usize = 90;

const INK: RGBColor = RGBColor(50, 49, 48);
const FAINT: RGBColor = RGBColor(200, 198, 196);
/// Told apart by readers who see no red or green, after Okabe and Ito.
const COLOURS: [RGBColor; 12] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
    RGBColor(117, 112, 179),
    RGBColor(102, 102, 102),
    RGBColor(166, 118, 29),
    RGBColor(27, 158, 119),
    RGBColor(180, 180, 180),
];

/// The picture of a tile over these rows.
///
/// # Errors
/// Rows that the tile's kind of chart cannot show, and none at all.
pub(super) fn draw(tile: &Tile, outcome: &Outcome) -> Result<String> {
    if outcome.rows.is_empty() {
        bail!("there is no row to draw");
    }
    let size = match tile.visualization.as_str() {
        "table" => {
            let lines = i32::try_from(outcome.rows.len().min(MOST_ROWS))? + 1;
            (TABLE_WIDTH, u32::try_from(TOP + lines * LINE_HEIGHT + MARGIN)?)
        }
        "tiles" => (CHART_SIZE.0, 130),
        _ => CHART_SIZE,
    };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        // Without a ground of its own the text would be lost on a dark page.
        area.fill(&WHITE)?;
        write(&area, (MARGIN, MARGIN), &tile.title, HEADING_SIZE)?;
        match tile.visualization.as_str() {
            "table" => table(&area, outcome)?,
            "tiles" => numbers(&area, outcome)?,
            "piechart" => pie(&area, outcome)?,
            "timechart" => chart(&area, outcome)?,
            other => bail!("no picture is known of a tile shown as `{other}`"),
        }
        area.present()?;
    }
    svg.push('\n');
    Ok(svg)
}

/// A box for each row: its first column's text over its second one's number.
fn numbers(area: &Area<'_>, outcome: &Outcome) -> Result<()> {
    const WIDTH: i32 = 150;
    const HEIGHT: i32 = 70;
    for (place, row) in (0_i32..).zip(&outcome.rows) {
        let left = MARGIN + place * (WIDTH + MARGIN);
        area.draw(&Rectangle::new([(left, TOP), (left + WIDTH, TOP + HEIGHT)], FAINT))?;
        write(area, (left + MARGIN, TOP + 10), &shown(row.first()), TEXT_SIZE)?;
        write(area, (left + MARGIN, TOP + 34), &shown(row.get(1)), 28)?;
    }
    Ok(())
}

/// Heading and rows, columns as wide as their texts need and the picture allows.
fn table(area: &Area<'_>, outcome: &Outcome) -> Result<()> {
    let mut lines: Vec<Vec<String>> = vec![outcome.columns.clone()];
    let rows = outcome.rows.iter().take(MOST_ROWS);
    lines.extend(rows.map(|row| row.iter().map(|value| shown(Some(value))).collect()));
    let widths = widths(&lines);
    for (place, line) in (0_i32..).zip(&lines) {
        let top = TOP + place * LINE_HEIGHT;
        let mut left = f64::from(MARGIN);
        for (text, &width) in line.iter().zip(&widths) {
            write(area, (whole(left), top + 4), &cell::cut(text, width.saturating_sub(1)), TEXT_SIZE)?;
            left += characters(width);
        }
        let under = top + LINE_HEIGHT;
        let ends = [(MARGIN, under), (i32::try_from(TABLE_WIDTH)? - MARGIN, under)];
        area.draw(&PathElement::new(ends, if place == 0 { INK } else { FAINT }))?;
    }
    Ok(())
}

/// The columns' widths in characters: what each needs, the widest made narrower until all fit.
fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let room = (f64::from(TABLE_WIDTH) - 2.0 * f64::from(MARGIN)) / CHARACTER_WIDTH;
    let columns = lines.first().map_or(0, Vec::len);
    let mut widths: Vec<usize> = (0..columns)
        .map(|column| {
            let longest = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count());
            (longest.max().unwrap_or(0) + 2).clamp(NARROWEST, WIDEST)
        })
        .collect();
    while characters(widths.iter().sum()) > room * CHARACTER_WIDTH {
        let Some(widest) = widths.iter_mut().max() else { break };
        if *widest <= NARROWEST {
            break;
        }
        *widest -= 1;
    }
    widths
}

/// A slice for each row, the largest first, with a legend that tells the numbers.
fn pie(area: &Area<'_>, outcome: &Outcome) -> Result<()> {
    let label = outcome.rows.iter().map(|row| row.iter().find_map(Value::as_str).unwrap_or_default());
    let size = outcome.rows.iter().map(|row| row.iter().find_map(Value::as_f64).unwrap_or_default());
    let mut slices: Vec<(&str, f64)> = label.zip(size).collect();
    slices.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(other.0)));
    let sizes: Vec<f64> = slices.iter().map(|slice| slice.1).collect();
    let colours: Vec<RGBColor> = COLOURS.iter().copied().cycle().take(slices.len()).collect();
    let names = vec![""; slices.len()];
    let (centre, radius) = ((150, TOP + 125), 115.0);
    let mut pie = Pie::new(&centre, &radius, &sizes, &colours, &names);
    pie.start_angle(-90.0);
    pie.donut_hole(55.0);
    area.draw(&pie)?;
    for ((place, (name, size)), colour) in (0_i32..).zip(&slices).zip(&colours) {
        let top = TOP + place * (LINE_HEIGHT - 2);
        area.draw(&Rectangle::new([(310, top + 4), (322, top + 16)], colour.filled()))?;
        write(area, (330, top + 3), &format!("{name}  {size}"), TEXT_SIZE)?;
    }
    Ok(())
}

/// One line of a time chart.
struct Series {
    name: String,
    /// Seconds since 1970, and the value.
    points: Vec<(i64, f64)>,
}

/// A line for each series over time.
fn chart(area: &Area<'_>, outcome: &Outcome) -> Result<()> {
    let series = series(outcome)?;
    let points = || series.iter().flat_map(|line| &line.points);
    let first = points().map(|point| point.0).min().context("no time to draw")?;
    let last = points().map(|point| point.0).max().unwrap_or(first).max(first + 3600);
    let highest = points().map(|point| point.1).fold(1.0, f64::max);
    let (_, below) = area.split_vertically(TOP);
    let (plot, legend) = below.split_horizontally(540);
    let mut chart = ChartBuilder::on(&plot)
        .margin(MARGIN)
        .x_label_area_size(24)
        .y_label_area_size(40)
        .build_cartesian_2d(first..last, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .x_labels(5)
        .y_labels(5)
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style((FONT, TEXT_SIZE - 2).into_font().color(&INK))
        .x_label_formatter(&|seconds| {
            OffsetDateTime::from_unix_timestamp(*seconds).map(moment).unwrap_or_default()
        })
        .y_label_formatter(&|value| value.to_string())
        .draw()?;
    for ((place, line), colour) in (0_i32..).zip(&series).zip(COLOURS.iter().cycle()) {
        chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 2, colour.filled())))?;
        let top = MARGIN + place * (LINE_HEIGHT - 2);
        legend.draw(&Rectangle::new([(0, top + 4), (12, top + 16)], colour.filled()))?;
        write(&legend, (18, top + 3), &line.name, TEXT_SIZE - 1)?;
    }
    Ok(())
}

/// The lines of a time chart: one for each text beside the time, or else for each column of numbers.
fn series(outcome: &Outcome) -> Result<Vec<Series>> {
    let mut found: std::collections::BTreeMap<String, Vec<(i64, f64)>> = std::collections::BTreeMap::new();
    for row in &outcome.rows {
        let at = row.iter().find_map(|value| parsed_time(value.as_str()?)).context("a row has no time")?;
        let text = row.iter().filter_map(Value::as_str).find(|text| parsed_time(text).is_none());
        for (column, value) in outcome.columns.iter().zip(row) {
            let Some(number) = value.as_f64() else { continue };
            let name = text.unwrap_or(column).to_owned();
            found.entry(name).or_default().push((at.unix_timestamp(), number));
        }
    }
    Ok(found
        .into_iter()
        .map(|(name, mut points)| {
            points.sort_by_key(|point| point.0);
            Series { name, points }
        })
        .collect())
}

/// Writes a text whose left upper corner is at this place.
fn write(area: &Area<'_>, place: (i32, i32), text: &str, size: i32) -> Result<()> {
    let style = (FONT, size).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Top));
    Ok(area.draw_text(text, &style, place)?)
}

/// A value as a person reads it.
fn shown(value: Option<&Value>) -> String {
    match value.and_then(Value::as_str).and_then(parsed_time) {
        Some(at) => moment(at),
        None => cell::text(value),
    }
}

fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[month repr:short] [day padding:none] [hour]:[minute]");
    at.format(&format).unwrap_or_default()
}

/// A time as the engine writes it.
fn parsed_time(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    time::PrimitiveDateTime::parse(text, &format).ok().map(time::PrimitiveDateTime::assume_utc)
}

/// The width of so many characters.
fn characters(count: usize) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from) * CHARACTER_WIDTH
}

fn whole(length: f64) -> i32 {
    // At most the picture's width.
    #[expect(clippy::cast_possible_truncation, reason = "lengths are below the picture's width")]
    let whole = length.round() as i32;
    whole
}
