# Sends a callback by hand: URL, SECRET and ID are set, and the file body.json has the update.
TIMESTAMP=$(date +%s)
key=$(printf %s "${SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
tag=$({ printf '%s.%s.' "$ID" "$TIMESTAMP"; cat body.json; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
curl --silent --show-error --write-out '\n%{http_code}\n' --data-binary @body.json \
  --header 'content-type: application/json' --header "webhook-id: $ID" \
  --header "webhook-timestamp: $TIMESTAMP" --header "webhook-signature: v1,$tag" "$URL"
