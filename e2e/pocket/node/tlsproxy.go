package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// runTLSProxy ends TLS in front of one plain HTTP address and passes the
// requests on as they are.
//
// The API server needs it to reach an audit webhook inside the cluster:
// client-go sends a kubeconfig's bearer token only where the URL is https,
// and a Source listens on plain HTTP. It waits for the address to answer as
// long as the caller does, so that events from before the Source is up are
// late and not lost.
func runTLSProxy() int {
	flags := flag.NewFlagSet("tls-proxy", flag.ExitOnError)
	listen := flags.String("listen", "", "`address:port` to listen on")
	cert := flags.String("cert", "", "certificate `file`")
	key := flags.String("key", "", "key `file`")
	target := flags.String("target", "", "plain HTTP `URL` to pass requests to")
	_ = flags.Parse(os.Args[1:]) // ExitOnError
	to, err := url.Parse(*target)
	if err != nil || to.Host == "" {
		fmt.Fprintln(os.Stderr, "tls-proxy: --target needs a URL, got", *target)
		return 2
	}
	server := http.Server{
		Addr: *listen,
		Handler: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
			Transport: &http.Transport{DialContext: dialPatiently, MaxIdleConnsPerHost: 4},
		},
		ReadHeaderTimeout: 10 * time.Second,
	}
	fmt.Fprintln(os.Stderr, "tls-proxy:", server.ListenAndServeTLS(*cert, *key))
	return 1
}

// dialPatiently tries again until the connection is there or ctx ends.
func dialPatiently(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	for {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(500 * time.Millisecond):
		}
	}
}
