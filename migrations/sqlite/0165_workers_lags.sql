-- How far the worker is behind, as JSON: pairs of an integrator and milliseconds. NULL says that it is not.
ALTER TABLE workers ADD COLUMN lags TEXT;
