// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net"
	"net/netip"

	"github.com/dify-sso/dify-sso/core/internal/serviceapi"
	"github.com/dify-sso/dify-sso/pkg/egress"
)

// openDify builds what asks the runtimes that speak Dify's Service API.
func (a *App) openDify() (err error) {
	a.dify, err = a.Settings.client(a.opts)
	return err
}

func (s *Settings) client(o Options) (*serviceapi.Client, error) {
	guard, err := egress.NewRuntime(egress.RuntimeOptions{
		Allowed: s.RuntimeAllowedHosts, Own: s.own(), Connect: s.RuntimeConnectTimeout, Header: s.RuntimeHeaderTimeout, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	return serviceapi.New(serviceapi.Deps{
		Egress: guard, Answer: s.RuntimeHeaderTimeout, Idle: s.RuntimeIdleTimeout, Blocking: s.RunBlockingTimeout, Now: o.Now,
	})
}

// own is where this process listens and is reached, as host:port.
func (s *Settings) own() []string {
	port := s.Public.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[s.Public.Scheme]
	}
	// A name that is listened on may mean any address of this machine.
	at := func(listen string) string {
		host, port, err := net.SplitHostPort(listen)
		if _, ip := netip.ParseAddr(host); err != nil || ip == nil {
			return listen
		}
		return net.JoinHostPort("", port)
	}
	return []string{at(s.Listen), at(s.InnerListen), net.JoinHostPort(s.Public.Hostname(), port)}
}
