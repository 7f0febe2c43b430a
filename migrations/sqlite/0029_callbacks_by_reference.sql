CREATE INDEX callbacks_by_reference ON callbacks (integrator_id, reference, applied_at);
