ALTER TABLE accounts DROP COLUMN integrator_id;
