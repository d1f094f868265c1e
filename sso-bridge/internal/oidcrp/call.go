// SPDX-License-Identifier: Apache-2.0

package oidcrp

import (
	"errors"
	"strconv"

	"github.com/dify-sso/dify-sso/pkg/egress"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/failure"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/login"
)

// step measures one part of the exchange and notes whether it went well. Host and status
// of a failed call come out of the refusal: a shared call must not write into the trace
// of whoever began it.
func (x *exchange) step(name string, do func() error) error {
	began := x.Now()
	err := do()
	x.trace.Steps = append(x.trace.Steps, login.Step{
		Name: name, Milliseconds: float64(x.Now().Sub(began).Microseconds()) / 1000, OK: err == nil,
	})
	if err != nil {
		facts := failure.Of(err).Facts
		if host := facts["host"]; host != "" {
			x.trace.ProviderHost = host
		}
		if status, e := strconv.Atoi(facts["status"]); e == nil {
			x.trace.ProviderStatus = status
		}
	}
	return err
}

func called(err error) *egress.Error {
	if e, ok := errors.AsType[*egress.Error](err); ok {
		return e
	}
	return &egress.Error{Phase: egress.Connect}
}

// unread turns a failed call into a refusal: no answer is the provider out of reach, an
// answer that is not acceptable is the document's own code.
func unread(code failure.Code, err error) *failure.Error {
	e := called(err)
	if e.Phase == egress.Open {
		return failure.New(failure.ProviderCircuitOpen).With("host", e.Host).Because(err)
	}
	if e.Silent() {
		code = failure.ProviderUnreachable
	}
	return withStatus(failure.New(code).With("host", e.Host).With("phase", string(e.Phase)), e.Status).Because(err)
}

// answered refuses a status.
func answered(code failure.Code, address string, status int) *failure.Error {
	return withStatus(failure.New(code).With("host", failure.HostOf(address)).With("phase", "status"), status)
}

func withStatus(f *failure.Error, status int) *failure.Error {
	if status == 0 {
		return f
	}
	return f.With("status", strconv.Itoa(status))
}
