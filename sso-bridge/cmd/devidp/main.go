// SPDX-License-Identifier: Apache-2.0

// Command devidp is an OpenID provider and a SAML identity provider for development:
// whoever stands on its page signs in by a click, some of them as no provider should. It
// asks nobody for a password, keeps everything but its key in memory, listens on this
// machine alone and is in no image.
//
// A login without a browser is one request: POST the form person=alice to the address of
// the authorization request, or to the one that a SAML request was redirected to.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "devidp:", err)
		stop()
		os.Exit(1) //nolint:gocritic // what the deferred call does is done
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	listen, o, err := settings(args, env)
	if err != nil {
		return err
	}
	p, err := newProvider(o)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	fmt.Fprintf(out, "devidp: issuer %s, client %s, its secret %s; SAML metadata %s; for development alone\n", o.Issuer, o.ClientID, o.ClientSecret, p.entityID())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return errors.Join(server.Shutdown(last), ignoreClosed(<-done))
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// settings reads flags, each with an environment variable of its name behind DEVIDP_.
func settings(args []string, env func(string) string) (listen string, o options, err error) {
	flags := flag.NewFlagSet("devidp", flag.ContinueOnError)
	text := func(to *string, name, value, usage string) {
		if v := env("DEVIDP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))); v != "" {
			value = v
		}
		flags.StringVar(to, name, value, usage)
	}
	var redirects, consumers string
	text(&listen, "listen", "127.0.0.1:5005", "address to listen on, of this machine alone")
	text(&o.Issuer, "issuer", "", "issuer (default: http:// and the listen address)")
	text(&o.ClientID, "client-id", "dify-sso", "the one client's id")
	text(&o.ClientSecret, "client-secret", "", "the client's secret (default: drawn and printed)")
	text(&redirects, "redirect-uri", "", "where people are sent back to, exactly; several with commas")
	text(&consumers, "consumer-url", "", "assertion consumer service that SAML answers are posted to, exactly; several with commas")
	text(&o.KeyFile, "key-file", "", "keeps key and certificate, made when it is not there (default: a pair of this run)")
	if err := flags.Parse(args); err != nil {
		return "", o, err
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", o, fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", o, errors.New("--listen must be a loopback address: this provider signs in whoever clicks")
	}
	if o.Issuer == "" {
		o.Issuer = "http://" + listen
	}
	if o.ClientSecret == "" {
		o.ClientSecret = random()
	}
	list := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if o.RedirectURIs, o.ConsumerURLs = list(redirects), list(consumers); len(o.RedirectURIs) == 0 && len(o.ConsumerURLs) == 0 {
		return "", o, errors.New("--redirect-uri or --consumer-url is required: `sso-bridge connection show` prints it")
	}
	o.Now = time.Now
	o.Slow = 30 * time.Second
	return listen, o, nil
}
