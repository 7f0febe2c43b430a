-- A lane's claim: what of one integrator is due.
CREATE INDEX handoffs_of_integrator ON handoffs (integrator_id, state, due_at);
