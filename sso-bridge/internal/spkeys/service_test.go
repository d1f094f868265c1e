// SPDX-License-Identifier: Apache-2.0

package spkeys_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dify-sso/dify-sso/pkg/audit"
	"github.com/dify-sso/dify-sso/pkg/fault"
	"github.com/dify-sso/dify-sso/pkg/seal"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/spkeys"
	"github.com/dify-sso/dify-sso/sso-bridge/internal/storetest"
)

func TestTheFirstKey(t *testing.T) {
	t.Run("is made at the first need, certifies itself for three years and names its connection", func(t *testing.T) {
		h := start(t)
		if all, err := h.List(t.Context(), "corp"); err != nil || len(all) != 0 {
			t.Fatal(all, err)
		}
		s := h.signer(t, false)
		c := s.Certificate
		if s.State != spkeys.Current || s.ConnectionID != "corp" || s.PromotedAt == nil || !s.PromotedAt.Equal(storetest.Start) || !s.Private.PublicKey.Equal(c.PublicKey) {
			t.Errorf("%+v", s.Key)
		}
		end := storetest.Start.Add(spkeys.Life).Truncate(time.Second)
		if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil || !c.NotAfter.Equal(end) || !s.NotAfter.Equal(end) ||
			!c.NotBefore.Before(storetest.Start) || c.Subject.CommonName != "sso-bridge corp" || c.KeyUsage != x509.KeyUsageDigitalSignature || c.IsCA || c.SerialNumber.BitLen() < 64 {
			t.Errorf("%v %v %v %v %v", err, c.NotBefore, c.NotAfter, c.Subject, c.SerialNumber)
		}
		again, err := h.other.Signer(t.Context(), "corp", false)
		if err != nil || again.ID != s.ID || h.drawn.Load() != 1 {
			t.Error(again.ID, s.ID, err, h.drawn.Load())
		}
		if other, err := h.Signer(t.Context(), "eng", false); err != nil || other.ID == s.ID {
			t.Error("shared with another connection", err)
		}
		h.published(t, s.ID)
		fields := h.events(t, "sso.sp_key_made", "sso.sp_key_made")
		if strings.Contains(fields["sso.sp_key_made"], "PRIVATE") {
			t.Error(fields)
		}
	})
	t.Run("is made by whoever reads the metadata of a draft", func(t *testing.T) {
		h := start(t)
		keys, err := h.Published(t.Context(), "corp")
		if err != nil || len(keys) != 1 || keys[0].ID != h.signer(t, false).ID {
			t.Error(keys, err)
		}
	})
	for engine, open := range map[string]storetest.OpenDurable{"SQLite": storetest.NewSQLitePair, "Postgres": storetest.NewPostgresPair} {
		t.Run("is one, however many need it at once on two replicas of "+engine, func(t *testing.T) {
			h := on(t, open)
			services := []*spkeys.Service{h.Service, h.other}
			ids := storetest.AtOnce(16, func(i int) string {
				s, err := services[i%2].Signer(context.Background(), "corp", false)
				if err != nil {
					t.Error(err)
				}
				return s.ID
			})
			for _, id := range ids {
				if id == "" || id != ids[0] {
					t.Fatal(ids)
				}
			}
			if n := h.drawn.Load(); n > 2 {
				t.Errorf("%d keys drawn", n)
			}
			h.events(t, "sso.sp_key_made")
		})
	}
	t.Run("has 3072 bits", func(t *testing.T) {
		h := start(t)
		recorder, err := audit.NewRecorder(h.Audit, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s, err := spkeys.New(spkeys.Deps{Store: h.SPKeys, Seal: h.seal, Recorder: recorder, Now: h.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		if k, err := s.Signer(t.Context(), "corp", false); err != nil || k.Private.N.BitLen() != 3072 {
			t.Error(err)
		}
	})
}

func TestPrivateKeysAreSealed(t *testing.T) {
	sealed := func(t *testing.T, h *harness, id string) (text string) {
		t.Helper()
		if err := h.DB.QueryRow(t.Context(), `SELECT private_sealed FROM sso_sp_keys WHERE id = $1`, id).Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	t.Run("for the row they stand in", func(t *testing.T) {
		h := start(t)
		s, next := h.signer(t, false), h.stage(t)
		clear, err := h.seal.Open(sealed(t, h, s.ID), "sso_sp_keys/"+s.ID+"/private_sealed")
		if err != nil {
			t.Fatal(err)
		}
		if k, err := x509.ParsePKCS8PrivateKey(clear); err != nil || !s.Private.Equal(k) {
			t.Error(err)
		}
		if _, err := h.DB.Exec(t.Context(), `UPDATE sso_sp_keys SET private_sealed = $1 WHERE id = $2`, sealed(t, h, s.ID), next.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Signer(t.Context(), "corp", true); !errors.Is(err, fault.ErrInternal) {
			t.Error(err)
		}
	})
	t.Run("and sealed anew with every other secret", func(t *testing.T) {
		h := start(t)
		s := h.signer(t, false)
		newer, err := seal.Parse(seal.NewKeyFile("k2"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Installation.Reseal(t.Context(), func(text, place string) (string, error) {
			if !strings.HasPrefix(place, "sso_sp_keys/") {
				return text, nil
			}
			clear, err := h.seal.Open(text, place)
			return newer.Seal(clear, place), err
		})
		if err != nil {
			t.Fatal(err)
		}
		h.seal.Become(newer)
		if again, err := h.other.Signer(t.Context(), "corp", false); err != nil || !again.Private.Equal(s.Private) {
			t.Error(err)
		}
	})
	t.Run("and no other key stands in for that of a certificate", func(t *testing.T) {
		h := start(t)
		s := h.signer(t, false)
		clear, err := x509.MarshalPKCS8PrivateKey(pool()[2])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.DB.Exec(t.Context(), `UPDATE sso_sp_keys SET private_sealed = $1`, h.seal.Seal(clear, "sso_sp_keys/"+s.ID+"/private_sealed")); err != nil {
			t.Fatal(err)
		}
		if _, err := h.other.Signer(t.Context(), "corp", false); !errors.Is(err, fault.ErrInternal) {
			t.Error(err)
		}
	})
}

func TestTheLifeOfAKey(t *testing.T) {
	t.Run("SSO-63 staged, promoted, retired: the published keys are as stated and one signs", func(t *testing.T) {
		h := start(t)
		first := h.signer(t, false)
		second := h.stage(t)
		h.published(t, first.ID, second.ID)
		if h.signer(t, false).ID != first.ID || h.signer(t, true).ID != second.ID {
			t.Error("the staged key signs more than tests")
		}

		h.promote(t)
		h.published(t, second.ID, first.ID)
		if s := h.signer(t, false); s.ID != second.ID || s.Private.Equal(first.Private) {
			t.Error("the former key signs on")
		}
		if _, err := h.Signer(t.Context(), "corp", true); !errors.Is(err, spkeys.ErrNoNext) {
			t.Error(err)
		}

		third := h.stage(t)
		h.published(t, second.ID, third.ID, first.ID)
		h.promote(t)
		h.published(t, third.ID, second.ID, first.ID)

		if _, err := h.Retire(t.Context(), "corp", second.ID, "account:a"); err != nil {
			t.Fatal(err)
		}
		h.published(t, third.ID, first.ID)
		h.events(t, "sso.sp_key_made", "sso.sp_key_staged", "sso.sp_key_promoted", "sso.sp_key_staged", "sso.sp_key_promoted", "sso.sp_key_retired")
		all, err := h.List(t.Context(), "corp")
		if err != nil || len(all) != 3 || all[0].ID != third.ID || all[1].State != spkeys.Retired || all[1].RetiredAt == nil || all[2].State != spkeys.Retiring {
			t.Errorf("%+v %v", all, err)
		}
	})
	t.Run("SSO-63 a former key is published for 30 days", func(t *testing.T) {
		h := start(t)
		first := h.signer(t, false)
		second := h.stage(t)
		h.promote(t)
		for _, step := range []struct {
			after time.Duration
			rows  int64
			ids   []string
		}{{0, 0, []string{second.ID, first.ID}}, {spkeys.RetiringFor, 0, []string{second.ID, first.ID}}, {time.Microsecond, 1, []string{second.ID}}, {spkeys.Life, 0, []string{second.ID}}} {
			h.clock.advance(step.after)
			if rows, err := h.RetireDue(t.Context()); err != nil || rows != step.rows {
				t.Errorf("%d rows, want %d, %v", rows, step.rows, err)
			}
			h.published(t, step.ids...)
		}
		fields := h.events(t, "sso.sp_key_made", "sso.sp_key_staged", "sso.sp_key_promoted", "sso.sp_key_retired")
		if fields["sso.sp_key_retired"] != `{"connection":"corp","key":"`+first.ID+`","from":"retiring"}` {
			t.Error(fields["sso.sp_key_retired"])
		}
	})
	t.Run("SSO-63 a staged key without a current one", func(t *testing.T) {
		h := start(t)
		k := h.stage(t)
		h.published(t, h.signer(t, false).ID, k.ID)
	})
	t.Run("a second staged key is refused", func(t *testing.T) {
		h := start(t)
		k := h.stage(t)
		if _, err := h.Stage(t.Context(), "corp", "cli:root"); !errors.Is(err, spkeys.ErrStaged) {
			t.Error(err)
		}
		if _, err := h.Retire(t.Context(), "corp", k.ID, "cli:root"); err != nil {
			t.Fatal(err)
		}
		h.stage(t)
	})
	t.Run("the key that signs is not retired, one of another connection is not known, one that has ended stays", func(t *testing.T) {
		h := start(t)
		first, k := h.signer(t, false), h.stage(t)
		for _, tc := range []struct {
			connection, id string
			want           error
		}{{"corp", first.ID, spkeys.ErrCurrent}, {"eng", k.ID, spkeys.ErrUnknown}, {"corp", "x", spkeys.ErrUnknown}, {"corp", k.ID, nil}, {"corp", k.ID, nil}} {
			if _, err := h.Retire(t.Context(), tc.connection, tc.id, "cli:root"); !errors.Is(err, tc.want) {
				t.Error(tc, err)
			}
		}
		h.events(t, "sso.sp_key_made", "sso.sp_key_staged", "sso.sp_key_retired")
	})
}

func TestPromotionNeedsAProof(t *testing.T) {
	promote := func(h *harness, force bool, reason string) error {
		_, err := h.Promote(context.Background(), "corp", "account:a", force, reason)
		return err
	}
	for _, tc := range []struct {
		name   string
		before func(t *testing.T, h *harness, k spkeys.Key)
		force  bool
		reason string
		want   error
	}{
		{"nobody has fetched the metadata", nil, false, "", spkeys.ErrNotProven},
		{"a reason alone", nil, false, "because", spkeys.ErrNotProven},
		{"force without a reason", nil, true, " ", spkeys.ErrInvalid},
		{"force with a reason of 256 characters", nil, true, strings.Repeat("x", 256), spkeys.ErrInvalid},
		{"force with a reason", nil, true, "the provider takes it by hand", nil},
		{"somebody has fetched the metadata", func(t *testing.T, h *harness, k spkeys.Key) { must(t, h.Seen(t.Context(), k)) }, false, "", nil},
		{"a test has passed with it", func(t *testing.T, h *harness, _ spkeys.Key) { must(t, h.MarkTested(t.Context(), "corp")) }, false, "", nil},
		{"a test of another connection has passed", func(t *testing.T, h *harness, _ spkeys.Key) { must(t, h.MarkTested(t.Context(), "eng")) }, false, "", spkeys.ErrNotProven},
		{"the key that signs was seen", func(t *testing.T, h *harness, _ spkeys.Key) { must(t, h.Seen(t.Context(), h.signer(t, false).Key)) }, false, "", spkeys.ErrNotProven},
		{"none is staged", func(t *testing.T, h *harness, _ spkeys.Key) { h.promote(t) }, true, "because", spkeys.ErrNoNext},
	} {
		t.Run("SSO-63 "+tc.name, func(t *testing.T) {
			h := start(t)
			k := h.stage(t)
			if tc.before != nil {
				tc.before(t, h, k)
			}
			if err := promote(h, tc.force, tc.reason); !errors.Is(err, tc.want) {
				t.Fatal(err)
			}
			if _, fields := h.Events(t); tc.want == nil && !strings.Contains(fields["sso.sp_key_promoted"], fmt.Sprintf(`"forced":%t`, tc.force)) {
				t.Error(fields)
			}
			if state := h.state(t, k.ID); (state == spkeys.Current) != (tc.want == nil || errors.Is(tc.want, spkeys.ErrNoNext)) {
				t.Error(state)
			}
		})
	}
	t.Run("SSO-63 the mark of a key is not that of its successor", func(t *testing.T) {
		h := start(t)
		k := h.stage(t)
		must(t, h.Seen(t.Context(), k))
		if _, err := h.Retire(t.Context(), "corp", k.ID, "cli:root"); err != nil {
			t.Fatal(err)
		}
		must(t, h.Seen(t.Context(), k)) // metadata that was read before
		h.stage(t)
		if err := promote(h, false, ""); !errors.Is(err, spkeys.ErrNotProven) {
			t.Error(err)
		}
	})
	t.Run("a fetch is noted once a minute", func(t *testing.T) {
		h := start(t)
		h.stage(t)
		noted := func() time.Time {
			keys, err := h.Published(t.Context(), "corp")
			must(t, err)
			must(t, h.Seen(t.Context(), keys[1]))
			keys, err = h.Published(t.Context(), "corp")
			must(t, err)
			return *keys[1].MetadataSeenAt
		}
		first := noted()
		h.clock.advance(59 * time.Second)
		if got := noted(); !got.Equal(first) {
			t.Error(got)
		}
		h.clock.advance(time.Second)
		if got := noted(); !got.Equal(first.Add(time.Minute)) {
			t.Error(got)
		}
	})
	t.Run("the event says who, what came before and why", func(t *testing.T) {
		h := start(t)
		first, k := h.signer(t, false), h.stage(t)
		must(t, promote(h, true, " because "))
		var got map[string]any
		_, fields := h.Events(t)
		must(t, json.Unmarshal([]byte(fields["sso.sp_key_promoted"]), &got))
		storetest.Same(t, "event", got, map[string]any{"connection": "corp", "key": k.ID, "former_key": first.ID, "forced": true, "reason": "because"})
		var kind, id string
		must(t, h.DB.QueryRow(t.Context(), `SELECT actor_type, actor_id FROM sso_audit_events WHERE event = 'sso.sp_key_promoted'`).Scan(&kind, &id))
		if kind != "account" || id != "a" {
			t.Error(kind, id)
		}
	})
}

func TestSoonest(t *testing.T) {
	h := start(t)
	s := h.signer(t, false)
	h.stage(t)
	ends, err := h.Soonest(t.Context())
	if err != nil || len(ends) != 1 || !ends["corp"].Equal(s.NotAfter) {
		t.Error(ends, err)
	}
}

func TestAStoreThatCannotBeAskedIsNoVerdict(t *testing.T) {
	h := start(t)
	k := h.stage(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"signer":    func() error { _, err := h.Signer(ctx, "corp", false); return err },
		"next":      func() error { _, err := h.Signer(ctx, "corp", true); return err },
		"published": func() error { _, err := h.Published(ctx, "corp"); return err },
		"list":      func() error { _, err := h.List(ctx, "corp"); return err },
		"stage":     func() error { _, err := h.Stage(ctx, "eng", "cli:root"); return err },
		"promote":   func() error { _, err := h.Promote(ctx, "corp", "cli:root", true, "because"); return err },
		"retire":    func() error { _, err := h.Retire(ctx, "corp", k.ID, "cli:root"); return err },
		"seen":      func() error { return h.Seen(ctx, k) },
		"tested":    func() error { return h.MarkTested(ctx, "corp") },
		"soonest":   func() error { _, err := h.Soonest(ctx); return err },
	} {
		if err := call(); !errors.Is(err, fault.ErrUnavailable) {
			t.Error(name, err)
		}
	}
	if _, err := spkeys.New(spkeys.Deps{}); err == nil {
		t.Error("a service of nothing")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
