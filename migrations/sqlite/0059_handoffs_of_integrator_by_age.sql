CREATE INDEX handoffs_of_integrator_by_age ON handoffs (integrator_id, id);
