-- The sweep: who is about to be disabled. Hardly ever anybody.
CREATE INDEX integrators_given_up ON integrators (given_up_because);
