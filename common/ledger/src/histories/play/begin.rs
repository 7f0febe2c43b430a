//! The beginning of a history: its store, its integrators and its order.

use super::*;

impl Play {
    pub(super) async fn begin(house: &TestLedger, plan: &Plan) -> Self {
        let timing = StoreTiming {
            order_ahead_days: 1,
            ..StoreTiming::default()
        };
        let scene = Scene::with_store(house, |store| {
            store.auto_accept = plan.auto_accept;
            store.timing = timing;
        })
        .await;
        let mut integrators = Vec::new();
        for party in &plan.parties {
            let integrator = integrator(&scene, *party).await;
            if party.begins_disabled {
                scene.disable(integrator.id).await;
            }
            integrators.push(integrator);
        }
        // The order holds room, which the audit compares with what has become of it.
        let edit = RulesEdit::Capacity(Capacity {
            rules: vec![CapacityRule {
                fulfilments: None,
                minutes: 15,
                orders: Some(1_000_000),
                items: None,
                weight: None,
            }],
            busy: BusyRule::default(),
        });
        let edited = house.ledger.edit_store_rules(scene.store, edit).await;
        edited.unwrap();
        let lead_time = TimeDelta::minutes(timing.lead_time_min.into());
        let wanted_at = plan
            .later_s
            .map(|s| house.clock.now() + lead_time + TimeDelta::seconds(s));
        let order = scene.order_with(|order| order.wanted_at = wanted_at).await;
        let began_at = house.clock.now();
        Self {
            model: Model::new(began_at, plan),
            scene,
            integrators,
            stood_at: order.status,
            order,
            began_at,
            claims: Vec::new(),
            sent: Vec::new(),
            seen: Coverage::default(),
        }
    }
}

async fn integrator(scene: &Scene, party: PartyPlan) -> Integrator {
    let change = |new: &mut crate::integrators::NewIntegrator| {
        new.required = Some(party.required);
        new.max_attempts = party.max_attempts;
        if party.confirms_by_callback {
            new.confirms = Confirms::Callback;
        }
        if party.holds_the_unknown {
            new.unknown_policy = UnknownPolicy::Hold;
        }
        if party.hears_of_steps {
            let events = new.events.take();
            let mut events = events.unwrap_or_else(|| default_events(new.kind).to_vec());
            events.push(HandoffEvent::DeliveryMoved);
            new.events = Some(events);
        }
    };
    if party.is_courier {
        scene.courier_with(change).await
    } else {
        scene.integrator(change).await
    }
}
