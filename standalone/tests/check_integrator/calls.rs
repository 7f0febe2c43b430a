//! Callbacks of the sloppy integrator.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Fault, State};

impl State {
    pub(super) async fn call_back(self: Arc<Self>, url: String, order: String, series: u32) {
        let steps: &[(&str, u32)] = match self.fault {
            Fault::GoesBack => &[("ready", 1), ("preparing", 2)],
            Fault::SpeaksItsOwnWords => &[("IN_OVEN", 1), ("ready", 2)],
            _ => &[("preparing", 1), ("ready", 2)],
        };
        let late = [Fault::PreparesCancelled, Fault::PreparesCancelledBefore];
        if late.contains(&self.fault) {
            // After the time in which an update may still be on its way.
            tokio::time::sleep(Duration::from_millis(2500)).await;
        }
        for (status, sequence) in steps {
            let is_cancelled = self.memory.lock().cancelled.contains(&order);
            if is_cancelled && self.fault != Fault::PreparesCancelled {
                return;
            }
            let webhook_id = match self.fault {
                Fault::ReusesIds => format!("cb_{order}"),
                _ => format!("cb_{order}_{series}_{sequence}"),
            };
            let mut body = json!({
                "order_id": order, "status": status, "sequence": sequence, "occurred_at": self.clock.now(),
            });
            match self.fault {
                Fault::AddsAField => body["kitchen"] = "north".into(),
                Fault::CallsAboutAStranger => {
                    body["order_id"] = "00000000-0000-7000-8000-000000000001".into();
                }
                Fault::SendsNoMarks => {
                    let fields = body.as_object_mut().unwrap();
                    fields.remove("sequence");
                    fields.remove("occurred_at");
                }
                _ => {}
            }
            for n in 0..20 {
                let id = match self.fault {
                    Fault::RepeatsUnderANewId => format!("{webhook_id}_{n}"),
                    _ => webhook_id.clone(),
                };
                match self.call(&url, &id, &body).await {
                    500.. if self.fault != Fault::NeverRepeats => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    _ => break,
                }
            }
        }
    }

    async fn call(&self, url: &str, webhook_id: &str, body: &Value) -> u16 {
        let bytes = body.to_string();
        let now = match self.fault {
            Fault::SignsOld => self.clock.now() - TimeDelta::minutes(10),
            _ => self.clock.now(),
        };
        let secret = match self.fault {
            Fault::SignsWithTheWrongSecret => &self.signing,
            _ => &self.callback,
        };
        let signed = match self.fault {
            Fault::SignsAnotherBody => format!("{body:#}"),
            _ => bytes.clone(),
        };
        let url = match self.fault {
            Fault::CallsElsewhere => format!("{url}/"),
            _ => url.to_owned(),
        };
        let timestamp_s = now.timestamp();
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", timestamp_s)
            .header(
                "webhook-signature",
                secret.sign(webhook_id, timestamp_s, signed.as_bytes()),
            )
            .body(bytes);
        match request.send().await {
            Ok(answer) => answer.status().as_u16(),
            Err(_) => 0,
        }
    }
}
