-- Places of the token and of the reference in an integrator's answers, as JSON pointers. Null: the usual places.
ALTER TABLE integrators ADD COLUMN answers JSON DEFAULT NULL;
