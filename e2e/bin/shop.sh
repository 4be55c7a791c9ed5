# shellcheck shell=bash
# Sourced by the demos: examples/shop with a database, and a look at what flows.

# apply_shop: POSTGRES_ADMIN is a command that runs SQL (psql's arguments) as the database server's superuser; POSTGRES_SERVICE is
# the server's name in the cluster. A user brings a database and its Secret instead.
apply_shop() {
  local password
  kubectl apply -f examples/shop/namespace.yaml
  # Kept if it is there, so that the demo can be run again.
  if ! kubectl -n shop get secret warehouse-app > /dev/null 2>&1; then
    password=$(openssl rand -hex 16)
    kubectl -n shop create secret generic warehouse-app --from-literal=username=shop --from-literal=password="$password"
  fi
  password=$(kubectl -n shop get secret warehouse-app -o jsonpath='{.data.password}' | base64 -d)
  kubectl -n shop get secret shop-ingest > /dev/null 2>&1 ||
    kubectl -n shop create secret generic shop-ingest --from-literal=token="$(openssl rand -hex 16)"
  {
    echo "SELECT 'CREATE ROLE shop' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop') \\gexec"
    echo "ALTER ROLE shop LOGIN PASSWORD '$password';"
    echo "SELECT 'CREATE DATABASE shop OWNER shop' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'shop') \\gexec"
  } | "${POSTGRES_ADMIN[@]}" -q -v ON_ERROR_STOP=1
  # The name that the example's DataStore has.
  kubectl -n shop create service externalname warehouse --external-name "$POSTGRES_SERVICE" --dry-run=client -o yaml | kubectl apply -f -
  kubectl apply -k examples/shop
  [ -z "${SHOP_PATCH:-}" ] || "${SHOP_PATCH[@]}" # where the cluster isn't pocket
  kubectl wait --for=condition=Ready --timeout=3m -n shop \
    datastreams.headworks.dev,qualityrules.headworks.dev,datastores.headworks.dev,sources.headworks.dev,pipelines.headworks.dev --all
}

# Rows in the database, or fail after a minute.
see_shop() {
  local rows
  for _ in {1..60}; do
    rows=$("${POSTGRES_ADMIN[@]}" -At -d shop -c 'SELECT count(*) FROM orders' 2> /dev/null) || rows=0
    [ "${rows:-0}" -lt 10 ] || break
    sleep 1
  done
  [ "${rows:-0}" -ge 10 ] || { echo "no rows arrived in table orders of database shop" >&2; return 1; }
  printf 'table orders of database shop (%s rows so far):\n' "$rows"
  "${POSTGRES_ADMIN[@]}" -d shop -c 'SELECT * FROM orders ORDER BY 1 LIMIT 3'
}
