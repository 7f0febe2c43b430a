// The guest's page.
