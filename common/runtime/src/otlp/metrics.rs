//! The metrics of `/metrics`, as OTLP has them. Prometheus' registry stays the one place of all metrics, so that a scrape
//! and a collector see the same.

use std::time::UNIX_EPOCH;

use opentelemetry_proto::{
    tonic::{
        collector::metrics::v1::ExportMetricsServiceRequest,
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
        metrics::v1::{
            AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
            ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
        },
        resource::v1::Resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};
use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use prost::Message;

use crate::traces::{SCOPE, machine_time};

/// Requests of one process: their sums count from the same moment on.
#[derive(Debug)]
pub(super) struct Sequence {
    resource: Resource,
    began_at: u64,
}

impl Sequence {
    pub(super) fn new(resource: &opentelemetry_sdk::Resource) -> Self {
        let attributes = ResourceAttributesWithSchema::from(resource).attributes.0;
        Self {
            resource: Resource {
                attributes,
                ..Resource::default()
            },
            began_at: nanoseconds(),
        }
    }

    /// Returns the body of a request with the present values.
    pub(super) fn request(&self, families: &[MetricFamily]) -> Vec<u8> {
        let now = nanoseconds();
        let metrics = families.iter().map(|family| self.metric(family, now));
        let scope = ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: SCOPE.to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics: metrics.collect(),
            ..ScopeMetrics::default()
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![scope],
                ..ResourceMetrics::default()
            }],
        };
        request.encode_to_vec()
    }

    fn metric(&self, family: &MetricFamily, now: u64) -> Metric {
        let values = family.get_metric().iter();
        let number = |labels: &[LabelPair], value| NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.began_at,
            time_unix_nano: now,
            value: Some(Value::AsDouble(value)),
            ..NumberDataPoint::default()
        };
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                data_points: values
                    .map(|one| number(one.get_label(), one.get_counter().get_value()))
                    .collect(),
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            }),
            MetricType::HISTOGRAM => Data::Histogram(Histogram {
                data_points: values
                    .map(|one| self.histogram(one.get_label(), one.get_histogram(), now))
                    .collect(),
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
            }),
            // We have no summaries.
            _ => Data::Gauge(Gauge {
                data_points: values
                    .map(|one| number(one.get_label(), one.get_gauge().get_value()))
                    .collect(),
            }),
        };
        Metric {
            name: family.name().to_owned(),
            description: family.help().to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn histogram(
        &self,
        labels: &[LabelPair],
        values: &prometheus::proto::Histogram,
        now: u64,
    ) -> HistogramDataPoint {
        let count = values.get_sample_count();
        let buckets = values.get_bucket().iter();
        let buckets = buckets.filter(|bucket| bucket.upper_bound().is_finite());
        let (mut bounds, mut counts, mut before) = (Vec::new(), Vec::new(), 0);
        for bucket in buckets {
            bounds.push(bucket.upper_bound());
            // Prometheus counts what is in smaller buckets too.
            counts.push(bucket.cumulative_count().saturating_sub(before));
            before = bucket.cumulative_count();
        }
        counts.push(count.saturating_sub(before));
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.began_at,
            time_unix_nano: now,
            count,
            sum: Some(values.get_sample_sum()),
            bucket_counts: counts,
            explicit_bounds: bounds,
            ..HistogramDataPoint::default()
        }
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    let labels = labels.iter().map(|label| KeyValue {
        key: label.name().to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(label.value().to_owned())),
        }),
        ..KeyValue::default()
    });
    labels.collect()
}

fn nanoseconds() -> u64 {
    let since = machine_time().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use platform::metrics::Metrics;

    use super::*;

    fn sent(metrics: &Metrics) -> Vec<Metric> {
        let resource = opentelemetry_sdk::Resource::builder_empty()
            .with_service_name("expediter-api")
            .build();
        let body = Sequence::new(&resource).request(&metrics.families());
        let mut read = ExportMetricsServiceRequest::decode(&body[..]).unwrap();
        let read = read.resource_metrics.pop().unwrap();
        let named = &read.resource.unwrap().attributes[0];
        assert_eq!(named.key, "service.name");
        read.scope_metrics.into_iter().next().unwrap().metrics
    }

    fn find(metrics: &[Metric], name: &str) -> Data {
        let found = metrics.iter().find(|metric| metric.name == name);
        let found = found.unwrap_or_else(|| panic!("{name} is missing"));
        assert!(!found.description.is_empty());
        found.data.clone().unwrap()
    }

    #[test]
    fn a_collector_is_sent_what_a_scrape_shows() {
        let metrics = Metrics::new();
        let requests = &metrics.http_requests;
        requests.with_label_values(&["GET", "/x", "200"]).inc_by(3);
        metrics.sockets_open.set(7);
        for seconds in [0.0001, 0.3, 1e9] {
            metrics.attempt_seconds.observe(seconds);
        }
        let sent = sent(&metrics);
        let Data::Sum(sum) = find(&sent, "expediter_http_requests_total") else {
            panic!("a counter is a sum");
        };
        let point = &sum.data_points[0];
        assert!(sum.is_monotonic && point.start_time_unix_nano <= point.time_unix_nano);
        assert_eq!(point.value, Some(Value::AsDouble(3.0)));
        let labels: Vec<&str> = point.attributes.iter().map(|label| &*label.key).collect();
        assert_eq!(labels, ["method", "route", "status"]);
        let Data::Gauge(gauge) = find(&sent, "expediter_sockets_open") else {
            panic!("a gauge is a gauge");
        };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(7.0)));
        let Data::Histogram(histogram) = find(&sent, "expediter_attempt_seconds") else {
            panic!("a histogram is a histogram");
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.count, 3);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), 3);
        assert_eq!(point.bucket_counts.last(), Some(&1), "beyond all bounds");
        assert!(
            sent.iter()
                .any(|metric| metric.name.starts_with("process_"))
        );
    }
}
