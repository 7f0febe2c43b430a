CREATE INDEX callbacks_of_integrator ON callbacks (integrator_id, id);
