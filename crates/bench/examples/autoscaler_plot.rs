//! Draws what `bench/autoscaler.sh` has measured: load, nodes and latency over time, as SVG; and says how it went.
//!
//! `cargo run -p henge-bench --example autoscaler_plot -- RESULTS PLOT`

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A name, a colour, and points.
type Curve = (&'static str, RGBColor, Vec<(f64, f64)>);

const BLUE_LINE: RGBColor = RGBColor(31, 119, 180);
const RED_LINE: RGBColor = RGBColor(214, 39, 40);
const GREEN_LINE: RGBColor = RGBColor(44, 160, 44);

/// One step of the load.
#[derive(Clone, Copy, Debug)]
struct Step {
    at: f64,
    seconds: f64,
    rate: f64,
    succeeded: u64,
    /// Refused or failed.
    errors: u64,
    /// Cut off by the end of the step; they count in the latencies.
    unsent: u64,
    /// Of all kinds of operations the slower, in milliseconds.
    p50_ms: f64,
    p99_ms: f64,
}

impl Step {
    /// From a report, and from when on it was.
    fn of(at: f64, report: &Value) -> Step {
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let count = |name: &str| report[name].as_u64().unwrap_or(0);
        let latencies = report["latency"].as_array().cloned().unwrap_or_default();
        let slowest = |percentile: &str| {
            latencies.iter().map(|kind| number(&kind[percentile]) / 1_000.0).fold(0.0, f64::max)
        };
        Step {
            at,
            seconds: number(&report["elapsed_seconds"]),
            rate: number(&report["setup"]["rate_per_second"]),
            succeeded: count("operations"),
            errors: count("failed"),
            unsent: count("unsent"),
            p50_ms: slowest("p50_us"),
            p99_ms: slowest("p99_us"),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [results, plot] = arguments.as_slice() else {
        return Err("want the directory of the results, and where the picture goes".into());
    };
    let results = Path::new(results);
    let steps = steps(&results.join("steps"))?;
    let nodes = nodes(&fs::read_to_string(results.join("nodes.csv"))?);
    fs::write(plot, draw(&steps, &nodes)?)?;
    println!("{}", summary(&steps, &nodes));
    Ok(())
}

/// The reports, named by their number and when they began.
fn steps(directory: &Path) -> Result<Vec<Step>, Box<dyn Error>> {
    let mut paths: Vec<_> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.sort();
    let mut steps = Vec::new();
    for path in paths {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let at = stem.split_once('-').and_then(|(_, at)| at.parse().ok());
        let at = at.ok_or_else(|| format!("{}: want a name such as 001-12.5.json", path.display()))?;
        steps.push(Step::of(at, &serde_json::from_str(&fs::read_to_string(&path)?)?));
    }
    if steps.is_empty() { Err("there are no steps to draw".into()) } else { Ok(steps) }
}

/// Seconds, members.
fn nodes(csv: &str) -> Vec<(f64, f64)> {
    let row = |line: &str| {
        let mut fields = line.split(',').map(|field| field.parse::<f64>().ok());
        Some((fields.next()??, fields.next()??))
    };
    csv.lines().filter_map(row).collect()
}

/// As a line with corners: a value stands until the next.
fn stairs(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut line: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        if let Some(&(_, before)) = line.last() {
            line.push((x, before));
        }
        line.push((x, y));
    }
    line
}

fn draw(steps: &[Step], nodes: &[(f64, f64)]) -> Result<String, Box<dyn Error>> {
    // What is wrong with a drawing is borrowed from it.
    let text = |error: Box<dyn Error + '_>| error.to_string();
    let end = steps.last().map_or(1.0, |step| step.at + step.seconds.max(1.0));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (900, 780)).into_drawing_area();
        root.fill(&WHITE)?;
        let areas = root.split_evenly((3, 1));
        let load =
            stairs(steps.iter().map(|step| (step.at, step.rate)).chain([(end, steps[steps.len() - 1].rate)]));
        panel(&areas[0], "load", "operations per second", end, false, &[("asked for", BLUE_LINE, load)])
            .map_err(text)?;
        let nodes = stairs(nodes.iter().copied());
        panel(&areas[1], "nodes", "members", end, false, &[("members", GREEN_LINE, nodes)]).map_err(text)?;
        let middle = |step: &Step| step.at + step.seconds / 2.0;
        let curve = |of: fn(&Step) -> f64| steps.iter().map(|step| (middle(step), of(step))).collect();
        let curves =
            [("p99", RED_LINE, curve(|step| step.p99_ms)), ("median", BLUE_LINE, curve(|step| step.p50_ms))];
        panel(&areas[2], "latency, of reads and updates the slower", "ms", end, true, &curves)
            .map_err(text)?;
        root.present()?;
    }
    Ok(svg)
}

fn panel<'a>(
    area: &Area<'a>,
    caption: &str,
    unit: &str,
    end: f64,
    is_logarithmic: bool,
    curves: &[Curve],
) -> Result<(), Box<dyn Error + 'a>> {
    let values = || curves.iter().flat_map(|(_, _, curve)| curve).map(|(_, y)| *y);
    let high = values().fold(1.0, f64::max) * 1.15;
    let mut builder = ChartBuilder::on(area);
    builder.caption(caption, ("sans-serif", 16)).margin(8).x_label_area_size(34).y_label_area_size(70);
    // Two kinds of axes are two types.
    macro_rules! draw {
        ($range:expr) => {{
            let mut chart = builder.build_cartesian_2d(0.0..end, $range)?;
            chart.configure_mesh().x_desc("seconds").y_desc(unit).draw()?;
            for (name, colour, curve) in curves {
                let colour = *colour;
                chart
                    .draw_series(LineSeries::new(curve.clone(), colour.stroke_width(2)))?
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
            }
            if curves.len() > 1 {
                chart
                    .configure_series_labels()
                    .position(SeriesLabelPosition::UpperRight)
                    .border_style(BLACK)
                    .draw()?;
            }
        }};
    }
    if is_logarithmic {
        let low = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min).min(1.0);
        draw!((low * 0.8..high).log_scale());
    } else {
        draw!(0.0..high);
    }
    Ok(())
}

fn summary(steps: &[Step], nodes: &[(f64, f64)]) -> String {
    let mut sizes: Vec<f64> = nodes.iter().map(|(_, members)| *members).collect();
    sizes.dedup();
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let sum = |of: fn(&Step) -> u64| steps.iter().map(of).sum::<u64>();
    let (done, errors, unsent) =
        (sum(|step| step.succeeded), sum(|step| step.errors), sum(|step| step.unsent));
    let p99 = steps.iter().map(|step| step.p99_ms).fold(0.0, f64::max);
    let mut medians: Vec<f64> = steps.iter().map(|step| step.p99_ms).collect();
    medians.sort_by(f64::total_cmp);
    format!(
        "members: {}; operations: {done}; errors: {errors}; cut off by the end of a step: {unsent}; p99 of a step: {:.1} ms in the middle, {p99:.1} ms at most",
        sizes.join(" -> "),
        medians[medians.len() / 2]
    )
}
