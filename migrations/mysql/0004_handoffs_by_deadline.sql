-- The sweep finds overdue handoffs by it, however many others wait.
CREATE INDEX handoffs_by_deadline ON handoffs (state, deadline);
