// SPDX-License-Identifier: Apache-2.0

package spkeys

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/canon"
	"github.com/dify-sso/dify-sso/pkg/fault"
)

// backdated is how far before its making a certificate begins, for providers whose clock
// is behind.
const backdated = time.Hour

// place is what a private key is sealed for: it opens in no other row.
func place(id string) string { return "sso_sp_keys/" + id + "/private_sealed" }

func generate() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, Bits) }

// keys gives the keys of a connection, of which one is current: it is made now when there
// is none. Those who need the first one at once wait for one making.
func (s *Service) keys(ctx context.Context, connectionID string) ([]Record, error) {
	all, err := s.Store.Keys(ctx, connectionID)
	if err != nil {
		return nil, fault.Store(err)
	}
	if _, there := in(all, Current); there {
		return all, nil
	}
	made := s.first.DoChan(connectionID, func() (_ any, err error) {
		defer func() {
			// No caller's recovery reaches this goroutine.
			if p := recover(); p != nil {
				err = fmt.Errorf("spkeys: panic of type %T\n%s", p, debug.Stack())
			}
		}()
		return nil, s.begin(context.WithoutCancel(ctx), connectionID)
	})
	select {
	case r := <-made:
		if r.Err != nil {
			return nil, fault.Store(r.Err)
		}
	case <-ctx.Done():
		return nil, fault.Store(ctx.Err())
	}
	if all, err = s.Store.Keys(ctx, connectionID); err != nil {
		return nil, fault.Store(err)
	}
	if _, there := in(all, Current); !there {
		return nil, fault.ErrInternal.Because(errors.New("spkeys: the first key is not there"))
	}
	return all, nil
}

// begin makes the first key, unless it was made since the caller looked. When another
// replica is faster, its key is the first.
func (s *Service) begin(ctx context.Context, connectionID string) error {
	all, err := s.Store.Keys(ctx, connectionID)
	if err != nil {
		return err
	}
	if _, there := in(all, Current); there {
		return nil
	}
	r, err := s.draw(connectionID, Current)
	if err != nil {
		return err
	}
	event := audit.New(ctx, r.StagedAt, audit.System, made{Connection: connectionID, Key: r.ID, NotAfter: r.NotAfter})
	added, err := s.Store.Add(ctx, r, event)
	if added {
		s.Recorder.Committed(event)
	}
	return err
}

// draw makes a key and its certificate, which the key signs itself: providers compare
// keys and build no chain.
func (s *Service) draw(connectionID string, state State) (Record, error) {
	private, err := s.Generate()
	if err != nil {
		return Record{}, fault.ErrInternal.Because(err)
	}
	now := s.now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "sso-bridge " + connectionID},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(Life),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return Record{}, fault.ErrInternal.Because(err)
	}
	clear, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Record{}, fault.ErrInternal.Because(err)
	}
	r := Record{Key: Key{ID: canon.NewID(), ConnectionID: connectionID, State: state, StagedAt: now}, CertificateDER: base64.StdEncoding.EncodeToString(der)}
	if state == Current {
		r.PromotedAt = &now
	}
	r.Sealed = s.Seal.Seal(clear, place(r.ID))
	if r.Certificate, err = x509.ParseCertificate(der); err != nil {
		return Record{}, fault.ErrInternal.Because(err)
	}
	r.NotAfter = r.Certificate.NotAfter
	return r, nil
}

// parsed gives the key of a record with its certificate.
func (r Record) parsed() (Key, error) {
	k := r.Key
	der, err := base64.StdEncoding.DecodeString(r.CertificateDER)
	if err == nil {
		k.Certificate, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return Key{}, fault.ErrInternal.Because(fmt.Errorf("spkeys: certificate of key %s: %w", r.ID, err))
	}
	return k, nil
}

// slot is a place for an opened private key. There are two for a connection, so that the
// keys of the past do not gather.
type slot struct {
	connectionID string
	state        State
}

// opened is a private key, which its id names for ever.
type opened struct {
	id      string
	private *rsa.PrivateKey
}

// open gives the private key of a record. It is kept in memory, for the arithmetic before
// its first use takes longer than a signature.
func (s *Service) open(r Record) (Signer, error) {
	k, err := r.parsed()
	if err != nil {
		return Signer{}, err
	}
	at := slot{r.ConnectionID, r.State}
	s.mu.Lock()
	have := s.opened[at]
	s.mu.Unlock()
	if have.id == r.ID {
		return Signer{Key: k, Private: have.private}, nil
	}
	clear, err := s.Seal.Open(r.Sealed, place(r.ID))
	if err != nil {
		return Signer{}, fault.ErrInternal.Because(fmt.Errorf("spkeys: private key %s: %w", r.ID, err))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(clear)
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || !private.PublicKey.Equal(k.Certificate.PublicKey) {
		return Signer{}, fault.ErrInternal.Because(fmt.Errorf("spkeys: private key %s is not that of its certificate", r.ID))
	}
	s.mu.Lock()
	s.opened[at] = opened{r.ID, private}
	s.mu.Unlock()
	return Signer{Key: k, Private: private}, nil
}
