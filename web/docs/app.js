// Shows the API document that is in the page with Scalar, which asks nobody else for anything.

const element = document.getElementById("api-document");

globalThis.Scalar.createApiReference("#docs", {
  ...JSON.parse(element.dataset.configuration),
  content: element.textContent,
  telemetry: false,
  // These lead to services of Scalar's makers.
  showDeveloperTools: "never",
  hideClientButton: true,
  agent: { disabled: true },
  mcp: { disabled: true },
});
