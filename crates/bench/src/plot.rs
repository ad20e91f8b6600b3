//! The report as a picture: latency by percentile, and throughput over time, in one SVG.
//!
//! The percentile axis is the one of the HDR histogram plots: equal steps for 90 %, 99 %, 99.9 %..., which is the
//! logarithm of `1 / (1 - percentile)`; both axes are logarithmic, so that a tail has room to be seen.

use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::recorder::{Recorder, TIMELINE_STEP};
use crate::workload::Kind;

const SIZE_PIXELS: (u32, u32) = (900, 800);
/// Throughput is drawn with about this many points; more would be noise.
const TIMELINE_POINTS: usize = 150;
const COLOURS: [RGBColor; Kind::ALL.len()] =
    [RGBColor(31, 119, 180), RGBColor(214, 39, 40), RGBColor(44, 160, 44), RGBColor(148, 103, 189)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// The SVG, or what the drawing library says is wrong.
pub(crate) fn draw(recorder: &Recorder) -> Result<String, String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE_PIXELS).into_drawing_area();
        let whole = || -> Drawn<'_> {
            root.fill(&WHITE)?;
            let (upper, lower) = root.split_vertically(SIZE_PIXELS.1 * 5 / 8);
            draw_latency(&upper, recorder)?;
            draw_throughput(&lower, recorder)?;
            root.present()
        };
        whole().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

fn draw_latency<'a>(area: &Area<'a>, recorder: &Recorder) -> Drawn<'a> {
    let curves: Vec<(Kind, Vec<(f64, f64)>)> = Kind::ALL
        .into_iter()
        .filter(|kind| !recorder.histogram(*kind).is_empty())
        .map(|kind| (kind, percentile_curve(recorder.histogram(kind))))
        .collect();
    let points = || curves.iter().flat_map(|(_, curve)| curve);
    let right = points().map(|(x, _)| *x).fold(10.0, f64::max);
    let low = points().map(|(_, y)| *y).fold(f64::INFINITY, f64::min).min(1e6);
    let high = points().map(|(_, y)| *y).fold(10.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("latency by percentile", ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((1.0..right).log_scale(), (low * 0.9..high * 1.2).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("us")
        .x_label_formatter(&|inverse| percentile_label(*inverse))
        .y_label_formatter(&|micros| format!("{micros}"))
        .draw()?;
    for (kind, curve) in curves {
        let colour = COLOURS[kind as usize];
        chart
            .draw_series(LineSeries::new(curve, colour.stroke_width(2)))?
            .label(kind.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).border_style(BLACK).draw()
}

/// Points of (1 / (1 - percentile), microseconds), from the median's neighbourhood to the last recorded value.
fn percentile_curve(nanos: &Histogram<u64>) -> Vec<(f64, f64)> {
    let total = nanos.len() as f64;
    let points = nanos.iter_recorded().map(|step| {
        let above = 1.0 - step.quantile();
        // The last value has nothing above it; it is drawn where one operation of all would be.
        (1.0 / above.max(1.0 / (total + 1.0)), (step.value_iterated_to() as f64 / 1e3).max(0.001))
    });
    points.collect()
}

fn percentile_label(inverse: f64) -> String {
    let percentile = 100.0 * (1.0 - 1.0 / inverse);
    format!("{percentile:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn draw_throughput<'a>(area: &Area<'a>, recorder: &Recorder) -> Drawn<'a> {
    let points = throughput_curve(recorder.timeline());
    let end = points.last().map_or(1.0, |(seconds, _)| seconds.max(0.1));
    let high = points.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("throughput over time", ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, 0.0..high * 1.1)?;
    chart.configure_mesh().x_desc("seconds").y_desc("operations per second").draw()?;
    chart.draw_series(LineSeries::new(points, COLOURS[0].stroke_width(2)))?;
    Ok(())
}

/// Points of (seconds, operations per second), each the mean over some steps. The last step is cut short by the end
/// of the run and would show as a fall that did not happen, so it is left out where there are others.
fn throughput_curve(timeline: &[u64]) -> Vec<(f64, f64)> {
    let whole = if timeline.len() > 1 { &timeline[..timeline.len() - 1] } else { timeline };
    let steps = whole.len().div_ceil(TIMELINE_POINTS).max(1);
    let point = |(index, chunk): (usize, &[u64])| {
        let seconds = TIMELINE_STEP.as_secs_f64() * chunk.len() as f64;
        let begin = TIMELINE_STEP.as_secs_f64() * (index * steps) as f64;
        (begin + seconds / 2.0, chunk.iter().sum::<u64>() as f64 / seconds)
    };
    whole.chunks(steps).enumerate().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_drawn_with_a_curve_for_each_kind() {
        let svg = draw(&crate::report::tests::example().1).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("read") && svg.contains("update") && !svg.contains("insert"));
    }

    /// A run in which nothing was answered has axes and no curve, and does not fail.
    #[test]
    fn an_empty_run_is_drawn_too() {
        assert!(draw(&Recorder::new(0)).unwrap().contains("</svg>"));
    }

    #[test]
    fn percentiles_are_labelled_as_people_write_them() {
        assert_eq!([10.0, 100.0, 10_000.0].map(percentile_label), ["90", "99", "99.99"]);
    }

    #[test]
    fn throughput_is_per_second_whatever_the_step() {
        assert_eq!(throughput_curve(&[10, 10, 3]), [(0.05, 100.0), (0.15000000000000002, 100.0)]);
        let long = throughput_curve(&vec![5; 3_001]);
        assert_eq!(long.len(), TIMELINE_POINTS);
        assert!(long.iter().all(|(_, rate)| (rate - 50.0).abs() < 1e-9));
    }
}
