#!/bin/bash
# The preStop of a router: Envoy exits at once on SIGTERM, so everything before it happens here.
#
#   drain NOTICE LONGEST
#
# Says goodbye on every connection (answers carry `connection: close`, HTTP/2 gets a GOAWAY), waits
# NOTICE seconds until no node sends new callers here, then until no request is open, at most until
# LONGEST seconds are over. Only bash: the image has no curl, and the admin port is on the loopback.
set -u
notice=$1 longest=$2 port=${ADMIN_PORT:-9901}

call() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return
    printf '%s HTTP/1.1\r\nhost: router\r\ncontent-length: 0\r\nconnection: close\r\n\r\n' "$1" >&3
    cat <&3
    exec 3>&-
}

call 'POST /healthcheck/fail' >/dev/null
sleep "$notice"
for ((second = notice; second < longest; second++)); do
    case $(call 'GET /stats?filter=^http.ingress.downstream_rq_active$') in
        *'downstream_rq_active: 0'*) exit 0 ;;
        *'downstream_rq_active'*) ;;
        *) exit 0 ;; # Envoy is gone
    esac
    sleep 1
done
