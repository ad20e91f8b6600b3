//! `GET /metrics`: the node's figures in the Prometheus text format, version 0.0.4.
//!
//! The figures are read from the node when they are asked for and need no registry, so the format, a few lines for each
//! figure, is written here by hand.

use std::fmt::Write;

use api::Counter;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::front::Shared;
use crate::params::{NoParams, Params};

/// The node's figures.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "get_metrics",
    tag = "health",
    responses((status = 200, description = "The node's figures, in the Prometheus text format", body = String, content_type = "text/plain",
        example = "# HELP henge_commands_processed_total Commands answered.\n# TYPE henge_commands_processed_total counter\nhenge_commands_processed_total 42\n"))
)]
pub(crate) async fn get(State(front): State<Shared>, _: Params<NoParams>) -> impl IntoResponse {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], exposition(&front.counters()))
}

fn exposition(counters: &[Counter]) -> String {
    let mut text = String::with_capacity(counters.len() * 160);
    for counter in counters {
        let name = counter.name;
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let help = counter.help.replace('\\', "\\\\").replace('\n', "\\n");
        let value = figure(counter.value);
        // Writing to a String cannot fail.
        let _ =
            write!(text, "# HELP henge_{name} {help}\n# TYPE henge_{name} {kind}\nhenge_{name} {value}\n");
    }
    text
}

/// A figure as the format writes it, which differs from Rust's in what is not finite.
fn figure(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_and_a_gauge_are_told_apart_by_name() {
        let counters = [
            Counter { name: "commands_total", help: "Commands answered.", value: 42.0 },
            Counter { name: "load", help: "One \\ and\ntwo.", value: 0.5 },
        ];
        let expected = "# HELP henge_commands_total Commands answered.\n# TYPE henge_commands_total counter\n\
            henge_commands_total 42\n# HELP henge_load One \\\\ and\\ntwo.\n# TYPE henge_load gauge\nhenge_load 0.5\n";
        assert_eq!(exposition(&counters), expected);
    }

    #[test]
    fn figures_that_are_not_finite_are_written_as_the_format_has_them() {
        assert_eq!(figure(f64::INFINITY), "+Inf");
        assert_eq!(figure(f64::NEG_INFINITY), "-Inf");
        assert_eq!(figure(f64::NAN), "NaN");
    }
}
