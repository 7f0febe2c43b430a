# Checks a message by hand: SECRET, ID, TIMESTAMP and SIGNATURE are set, and the file body.json has the body's bytes.
key=$(printf %s "${SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
tag=$({ printf '%s.%s.' "$ID" "$TIMESTAMP"; cat body.json; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
echo "right signature: v1,$tag"
case " $SIGNATURE " in
  *" v1,$tag "*) echo "the signature is good" ;;
  *) echo "the signature is bad" ;;
esac
echo "signed $((${NOW:-$(date +%s)} - TIMESTAMP)) s ago"
