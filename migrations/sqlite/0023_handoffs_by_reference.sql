CREATE INDEX handoffs_by_reference ON handoffs (integrator_id, reference);
