# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# servers.sh: real registries on loopback, for tests; read after lib.sh. Each function starts a server that ends
# with the test, and puts its address (127.0.0.1:PORT) into $ADDR, its process into $SERVER.

need() { # PROGRAM...: or the test is skipped
	local p
	for p; do
		command -v "$p" >/dev/null || [ -x "/usr/sbin/$p" ] || skip_all "no $p"
	done
}

listens() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

server_up() { # NAME: waits until $ADDR answers, which is $SERVER
	within "$SLOW" listens "$ADDR" && ! ended "$SERVER" && return
	result "not ok" "$1 answers on $ADDR"
	exit 1
}

# A port that nobody listens on, below those that the kernel gives to connections: one of these can be had again after
# its server was stopped. Whether it was to be had is what the server says; if not, another one is tried.
some_port() { echo $((20000 + RANDOM % 12000)); }
ended() { ! kill -0 "$1" 2>/dev/null; }
listens_or_ended() { eval "$1" || ended "$SERVER"; }

# docker_registry DIR [LINES OF CONFIG [PORT]]
docker_registry() {
	local dir=$1 i
	mkdir -p "$dir"
	for i in 1 2 3 4 5 6 7 8; do
		ADDR=127.0.0.1:${3:-$(some_port)}
		cat >"$dir.yml" <<-END
			version: 0.1
			log: {level: info, formatter: text}
			storage: {filesystem: {rootdirectory: $dir}, delete: {enabled: true}}
			http: {addr: "$ADDR"}
			${2:-}
		END
		: >"$dir.log"
		env -u REGISTRY_AUTH_FILE docker-registry serve "$dir.yml" >>"$dir.log" 2>&1 &
		SERVER=$!
		within "$SLOW" listens_or_ended "grep -q 'listening on' '$dir.log'"
		ended "$SERVER" || break
	done
	server_up docker-registry
}

# static_server DIR [LINES OF nginx location]: serves DIR as files; with $TLS, over https with a certificate for
# 127.0.0.1, whose authority is $TLS/cert.pem
static_server() {
	local dir=$1 i conf=$T/nginx.$RANDOM
	mkdir -p "$conf"
	chmod 755 "$conf"
	for i in 1 2 3 4 5 6 7 8; do
		ADDR=127.0.0.1:$(some_port)
		cat >"$conf/nginx.conf" <<-END
			$([ "$(id -u)" = 0 ] && echo "user root;")
			daemon off; master_process off; pid $conf/pid; error_log $conf/error.log;
			events { worker_connections 256; }
			http {
			access_log $conf/access.log;
			client_body_temp_path $conf/body; proxy_temp_path $conf/proxy; fastcgi_temp_path $conf/fcgi;
			uwsgi_temp_path $conf/uwsgi; scgi_temp_path $conf/scgi;
			server { listen $ADDR${TLS:+ ssl}; root $dir;
			${TLS:+ssl_certificate $TLS/cert.pem; ssl_certificate_key $TLS/key.pem;} sendfile on; location / { ${2:-} } }
			}
		END
		nginx -p "$conf" -c "$conf/nginx.conf" -e "$conf/error.log" >"$conf/out" 2>&1 &
		SERVER=$!
		# shellcheck disable=SC2034
		STATIC_LOG=$conf/access.log
		within "$SLOW" listens_or_ended "[ -s '$conf/pid' ]" # which it writes when it has the port
		ended "$SERVER" || break
	done
	server_up nginx
}

stop_server() { # PID
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# push LAYOUT REF ADDR [NAME:TAG]: with skopeo
push() {
	skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$1:$2" "docker://$3/${4:-$2}"
}

# make_kernel DIR NAME BYTES: a kernel with an image of random bytes and some sources
make_kernel() {
	mkdir -p "$1/images" "$1/src/app" "$1/src/sub"
	printf '%s\n' "name = $2" "version = 1.0" "description = A test called $2." "arch = x86_64" \
		"modes = fullVM" "image = images/kernel.img" "memory = 16M" >"$1/kernel.conf"
	echo "# $2" >"$1/README.md"
	head -c "$3" /dev/urandom >"$1/images/kernel.img"
	echo "int main(void) { return 0; } /* $2 */" >"$1/src/app/main.c"
	head -c 300000 /dev/urandom >"$1/src/big.bin"
	for i in $(seq 40); do echo "small file $i of $2" >"$1/src/sub/$i.txt"; done
	ln -sf app/main.c "$1/src/link"
}

fetched() { cat "$M/cache/fetched"; } # bytes that came from registries since the mount

# token_server NAME...: a token service for docker_registry, which wants name and password (alice, secret) and gives
# everybody who knows them a token for these repositories. Puts the registry's part of config into $TOKEN_AUTH.
token_server() {
	local dir=$T/token header claims access='{"type":"registry","name":"catalog","actions":["*"]}' name now token
	mkdir -p "$dir"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key.pem" -out "$dir/cert.pem" -days 2 -subj /CN=tests \
		2>/dev/null
	htpasswd -bcB "$dir/users" alice secret 2>/dev/null
	for name; do access+=",{\"type\":\"repository\",\"name\":\"$name\",\"actions\":[\"pull\",\"push\"]}"; done
	now=$(date +%s)
	header="{\"typ\":\"JWT\",\"alg\":\"RS256\",\"x5c\":[\"$(openssl x509 -in "$dir/cert.pem" -outform DER | base64 -w0)\"]}"
	claims="{\"iss\":\"tests\",\"sub\":\"alice\",\"aud\":\"tests\",\"exp\":$((now + 3600)),\"nbf\":$((now - 60)),"
	claims+="\"iat\":$now,\"jti\":\"$now\",\"access\":[$access]}"
	token=$(b64url <<<"$header").$(b64url <<<"$claims")
	token+=.$(printf %s "$token" | openssl dgst -sha256 -sign "$dir/key.pem" | base64 -w0 | tr '+/' '-_' | tr -d =)
	printf '{"token":"%s","expires_in":%s}' "$token" "${TOKEN_SECONDS:-300}" >"$dir/token"
	chmod -R a+rX "$dir"
	static_server "$dir" "auth_basic token; auth_basic_user_file $dir/users;"
	TOKEN_AUTH="auth: {token: {realm: \"http://$ADDR/token\", service: tests, issuer: tests, rootcertbundle: $dir/cert.pem}}"
}
b64url() { tr -d '\n' | base64 -w0 | tr '+/' '-_' | tr -d =; }

# faulty LAYOUT NAME: tests/registry/faulty.c; fault NAME LINE... replaces its plan, its log is $T/NAME.requests
faulty() {
	: >"$T/$2.plan"
	: >"$T/$2.port" # or what an earlier one of this name wrote is read
	"$TOOLS/registry/faulty" "$1" "$T/$2.plan" "$T/$2.requests" >"$T/$2.port" &
	SERVER=$!
	within "$SLOW" grep -q . "$T/$2.port"
	ADDR=127.0.0.1:$(cat "$T/$2.port")
	server_up faulty
}
fault() {
	local name=$1
	shift
	printf '%s\n' "$@" >"$T/$name.plan.new"
	mv "$T/$name.plan.new" "$T/$name.plan"
}
