// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// Mode says how a person comes to a connection.
type Mode string

// The modes. Email means that the address decides, by a form.
const (
	ModeNone          Mode = "none"
	ModeSingle        Mode = "single"
	ModeChoose        Mode = "choose"
	ModeEmail         Mode = "email"
	ModeChooseOrEmail Mode = "choose_or_email"
)

// Public is what anybody may know of a connection.
type Public struct {
	ID       string
	Name     string
	Button   string
	Protocol Protocol
}

// Listed gives how people come to a connection of an intent, and the listed ones by
// position, then name. Of the others it tells at most that there are some.
func (s *Service) Listed(ctx context.Context, intent Intent) (Mode, []Public, error) {
	open, err := s.openTo(ctx, intent)
	if err != nil {
		return ModeNone, nil, err
	}
	public := make([]Public, 0, len(open))
	for _, c := range open {
		if c.Listed {
			public = append(public, Public{ID: c.ID, Name: c.Name, Button: c.Button, Protocol: c.Protocol})
		}
	}
	return mode(len(public), len(open)-len(public)), public, nil
}

func mode(listed, unlisted int) Mode {
	switch {
	case listed == 0 && unlisted == 0:
		return ModeNone
	case listed == 0:
		return ModeEmail
	case unlisted > 0:
		return ModeChooseOrEmail
	case listed == 1:
		return ModeSingle
	}
	return ModeChoose
}

// openTo gives the connections that are enabled for an intent.
func (s *Service) openTo(ctx context.Context, intent Intent) ([]Connection, error) {
	all, err := s.Store.All(ctx)
	if err != nil {
		return nil, fault.Store(err)
	}
	return slices.DeleteFunc(all, func(c Connection) bool { return !c.For(intent) }), nil
}

// Choose finds the connection of a login, with the revision that serves: the one that is
// named; or the owner of the e-mail's domain, else the default; or, with neither, the
// single one there is. It returns ErrNotConfigured, ErrUnknown, ErrUnroutable,
// ErrChoiceRequired or a store failure.
func (s *Service) Choose(ctx context.Context, intent Intent, id, email string) (Serving, error) {
	open, err := s.openTo(ctx, intent)
	if err != nil {
		return Serving{}, err
	}
	if len(open) == 0 {
		return Serving{}, ErrNotConfigured
	}
	switch {
	case id != "":
		i := slices.IndexFunc(open, func(c Connection) bool { return c.ID == id })
		if i < 0 {
			return Serving{}, ErrUnknown
		}
		return s.serving(ctx, open[i])
	case email != "":
		return s.route(ctx, open, email)
	}
	listed := slices.DeleteFunc(slices.Clone(open), func(c Connection) bool { return !c.Listed })
	if mode(len(listed), len(open)-len(listed)) != ModeSingle {
		return Serving{}, ErrChoiceRequired
	}
	return s.serving(ctx, listed[0])
}

func (s *Service) route(ctx context.Context, open []Connection, email string) (Serving, error) {
	address, ok := canon.Email(email)
	if !ok {
		return Serving{}, ErrUnroutable
	}
	owner, err := s.Owner(ctx, address[strings.LastIndexByte(address, '@')+1:])
	if err != nil {
		return Serving{}, err
	}
	i := slices.IndexFunc(open, func(c Connection) bool { return c.ID == owner })
	if i < 0 {
		i = slices.IndexFunc(open, func(c Connection) bool { return c.Default })
	}
	if i < 0 {
		return Serving{}, ErrUnroutable
	}
	return s.serving(ctx, open[i])
}

// Owner gives the connection that owns a domain, be it disabled, or an empty id. What a
// draft claims is not owned before it is enabled: an edit touches no login until then.
func (s *Service) Owner(ctx context.Context, domain string) (id string, err error) {
	domain = strings.ToLower(domain)
	if !domainForm.MatchString(domain) {
		return "", nil
	}
	id, err = s.Store.DomainOwner(ctx, domain)
	if err != nil || id == "" {
		return "", fault.Store(err)
	}
	c, err := s.Store.Find(ctx, id)
	if err != nil || c.Serving == "" {
		return "", fault.Store(err)
	}
	r, err := stored(ctx, s.Store, id, c.Serving)
	if err != nil {
		return "", fault.Store(err)
	}
	if !slices.Contains(r.Config.Domains, domain) {
		return "", nil
	}
	return id, nil
}

// IssuerOwner gives the connection that an issuer belongs to, be it deleted, or an empty
// id.
func (s *Service) IssuerOwner(ctx context.Context, issuer string) (id string, err error) {
	id, err = s.Store.IssuerOwner(ctx, issuer)
	return id, fault.Store(err)
}

// Serving gives a connection with the revision that serves, whatever its state. It
// returns ErrUnknown also when none ever served.
func (s *Service) Serving(ctx context.Context, id string) (Serving, error) {
	c, err := live(ctx, s.Store, id)
	if err == nil && c.Serving == "" {
		err = ErrUnknown
	}
	if err != nil {
		return Serving{}, fault.Store(err)
	}
	return s.serving(ctx, c)
}

func (s *Service) serving(ctx context.Context, c Connection) (Serving, error) {
	return s.at(ctx, c, c.Serving)
}

// At gives a connection with one of its revisions; the caller compares what serves now.
// It returns ErrUnknown, ErrUnknownRevision, or a 503 also when a secret of the revision
// is in no file any more.
func (s *Service) At(ctx context.Context, id, hash string) (Serving, error) {
	c, err := live(ctx, s.Store, id)
	if err != nil {
		return Serving{}, fault.Store(err)
	}
	return s.at(ctx, c, hash)
}

func (s *Service) at(ctx context.Context, c Connection, hash string) (Serving, error) {
	rec, err := record(ctx, s.Store, c.ID, hash)
	if err != nil {
		return Serving{}, fault.Store(err)
	}
	r, err := revision(rec)
	if err != nil {
		return Serving{}, fault.Store(err)
	}
	if r.Secrets, err = s.open(rec, r.Config); err != nil {
		return Serving{}, fault.Store(err)
	}
	return Serving{Connection: c, Revision: r}, nil
}

// ForTest gives a connection with the revision to test: the one that is named, else the
// head. It returns ErrUnknown, ErrUnknownRevision or ErrIncomplete.
func (s *Service) ForTest(ctx context.Context, id, hash string) (Serving, error) {
	c, err := live(ctx, s.Store, id)
	if err != nil {
		return Serving{}, fault.Store(err)
	}
	if hash == "" {
		hash = c.Head
	}
	rec, err := record(ctx, s.Store, c.ID, hash)
	if err != nil {
		return Serving{}, fault.Store(err)
	}
	r, err := revision(rec)
	if err != nil {
		return Serving{}, fault.Store(err)
	}
	if err := r.Config.complete(); err != nil {
		return Serving{}, err
	}
	// A command beside the service has no secrets out of files; the service that runs the
	// test has.
	if r.Secrets, err = s.open(rec, r.Config); err != nil && !errors.Is(err, errNoSecret) {
		return Serving{}, fault.Store(err)
	}
	return Serving{Connection: c, Revision: r}, nil
}
