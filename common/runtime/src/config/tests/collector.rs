//! The collector of traces and metrics.

use super::*;

#[test]
fn a_collector_that_cannot_be_one_is_refused_without_its_secrets() {
    for (key, wrong) in [
        ("telemetry.otlp_url", "grpc://collector:4317"),
        ("telemetry.otlp_url", "http://me:hunter2@collector:4318"),
        ("telemetry.otlp_url", "http://collector:4318/?token=hunter2"),
        ("telemetry.otlp_headers", "hunter2"),
        ("telemetry.otlp_trace_ratio", "1.5"),
        ("telemetry.otlp_trace_ratio", "nan"),
        ("telemetry.otlp_metrics_interval_s", "4000"),
    ] {
        let refused = refused(&[(key, wrong)]);
        assert!(refused.contains(key), "{wrong}: {refused}");
        assert!(!refused.contains("hunter2"), "{wrong}: {refused}");
    }
    let right = [
        ("telemetry.otlp_url", "https://otlp.example/otlp/"),
        ("telemetry.otlp_headers", "authorization=Bearer hunter2"),
        ("telemetry.otlp_trace_ratio", "1"),
    ];
    let settings = Settings::with(&right).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}
