-- The same of some stores' integrators.
CREATE INDEX callbacks_of_integrator_by_result ON callbacks (integrator_id, result, id);
