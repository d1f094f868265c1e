// SPDX-License-Identifier: Apache-2.0

package oncluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dify-sso/dify-sso/test/deploy/process"
)

// backOff is between two starts of a container; that of a kubelet begins with 10 s.
const backOff = time.Second

// live runs the pod until it is stopped: its init containers one after the other, then
// its containers, each started again when it ends.
func (p *pod) live() {
	p.done.Go(func() {
		for _, c := range p.spec.InitContainers {
			for !p.toEnd(c) {
				if !p.pause(backOff) {
					return
				}
			}
		}
		for _, c := range p.spec.Containers {
			p.done.Go(func() { p.keep(c) })
		}
	})
}

// pause waits; false means that the pod goes.
func (p *pod) pause(d time.Duration) bool {
	select {
	case <-p.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// toEnd runs a container once; a failure counts as a restart.
func (p *pod) toEnd(c corev1.Container) bool {
	running, err := p.run(c)
	if err == nil {
		<-running.Ended
		p.mu.Lock()
		delete(p.running, c.Name)
		p.mu.Unlock()
		if state := running.Cmd.ProcessState; !state.Success() {
			err = fmt.Errorf("%s ends with %s", c.Name, state)
		}
	}
	p.note(err)
	return err == nil
}

// keep runs a container again and again, with its probes.
func (p *pod) keep(c corev1.Container) {
	for {
		running, err := p.run(c)
		if err != nil {
			p.note(err)
			return
		}
		ctx, cancel := context.WithCancel(p.ctx)
		p.done.Go(func() { p.probe(ctx, c, running) })
		<-running.Ended
		cancel()
		p.setReady(false)
		p.mu.Lock()
		going := p.going
		delete(p.running, c.Name)
		p.mu.Unlock()
		if going {
			return
		}
		p.note(fmt.Errorf("%s ends with %s", c.Name, running.Cmd.ProcessState))
		if !p.pause(backOff) {
			return
		}
	}
}

func (p *pod) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure = err; err != nil && !p.going {
		p.restarts++
	}
}

func (p *pod) setReady(ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ready && !p.ready {
		p.since = time.Now()
	}
	p.ready = ready
}

// probe asks as declared: the startup probe until it is answered, then the two others. A
// container whose liveness fails is killed, and so is one that never starts.
func (p *pod) probe(ctx context.Context, c corev1.Container, running *process.Process) {
	kill := func(what string) {
		p.note(fmt.Errorf("%s of %s fails", what, c.Name))
		running.Kill()
	}
	if c.StartupProbe != nil && !p.asking(ctx, c, c.StartupProbe, func(ok, _ bool) bool { return ok }) {
		if ctx.Err() == nil {
			kill("the startup probe")
		}
		return
	}
	if c.LivenessProbe != nil {
		p.done.Go(func() {
			if !p.asking(ctx, c, c.LivenessProbe, func(bool, bool) bool { return false }) && ctx.Err() == nil {
				kill("the liveness probe")
			}
		})
	}
	if c.ReadinessProbe == nil {
		p.setReady(true)
		return
	}
	for ctx.Err() == nil {
		p.asking(ctx, c, c.ReadinessProbe, func(ok, failed bool) bool {
			if ok {
				p.setReady(true)
			} else if failed && ctx.Err() == nil {
				p.setReady(false)
			}
			return false
		})
	}
}

// asking repeats a probe until enough says so (true) or it fails as often as it may
// (false).
func (p *pod) asking(ctx context.Context, c corev1.Container, probe *corev1.Probe, enough func(ok, failed bool) bool) bool {
	client := &http.Client{
		Timeout:       time.Duration(max(1, probe.TimeoutSeconds)) * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, // as a kubelet asks
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	number := probe.HTTPGet.Port.String()
	for _, named := range c.Ports {
		if named.Name == number {
			number = strconv.Itoa(int(named.ContainerPort))
		}
	}
	scheme := "http"
	if probe.HTTPGet.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	address := scheme + "://" + net.JoinHostPort(p.box.address, number) + probe.HTTPGet.Path
	for failures := int32(0); ; {
		ok := p.asked(ctx, client, address)
		if failures++; ok {
			failures = 0
		}
		failed := failures >= max(1, probe.FailureThreshold)
		if enough(ok, failed) {
			return true
		}
		if failed {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Duration(max(1, probe.PeriodSeconds)) * time.Second):
		}
	}
}

func (p *pod) asked(ctx context.Context, client *http.Client, address string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	r.Header.Set("User-Agent", "kube-probe/1.34")
	answer, err := client.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode >= 200 && answer.StatusCode < 400
}
