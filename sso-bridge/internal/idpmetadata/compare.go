// SPDX-License-Identifier: Apache-2.0

package idpmetadata

import (
	"crypto/x509"
	"slices"
	"time"
)

// What may differ between two documents, and how.
const (
	EntityID    = "entity_id"
	Redirect    = "redirect"
	Post        = "post"
	Certificate = "certificate"

	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is one difference between two documents. From and To are entity ids, addresses,
// or a certificate's fingerprint with its end.
type Change struct {
	What        string `json:"what"` // certificate, entity_id, redirect, post
	Kind        string `json:"kind"` // added, removed, changed
	From        string `json:"from,omitempty"`
	To          string `json:"to,omitempty"`
	Destructive bool   `json:"destructive"`
}

// Destructive reports whether one of the changes takes something away, or sends people or
// trust elsewhere.
func Destructive(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Destructive })
}

// Compare gives what is different in now, the most severe first; nil for no difference.
//
// A further key and a later certificate for a known key add. A key that goes, another
// address, another entity id, and a binding that goes take away; so does a redirect
// address where there was none, for it is used before the other and sends people
// elsewhere, and a certificate for a known key that ends earlier.
func Compare(before, now IdP) []Change {
	var all []Change
	if before.EntityID != now.EntityID {
		all = append(all, Change{What: EntityID, Kind: Changed, From: before.EntityID, To: now.EntityID, Destructive: true})
	}
	all = append(all, address(Redirect, before.Redirect, now.Redirect, true)...)
	all = append(all, address(Post, before.Post, now.Post, false)...)
	all = append(all, keys(before, now)...)
	slices.SortStableFunc(all, func(a, b Change) int {
		switch {
		case a.Destructive == b.Destructive:
			return 0
		case a.Destructive:
			return -1
		}
		return 1
	})
	return all
}

func address(what, from, to string, preferred bool) []Change {
	c := Change{What: what, Kind: Changed, From: from, To: to, Destructive: true}
	switch {
	case from == to:
		return nil
	case from == "":
		c.Kind, c.Destructive = Added, preferred
	case to == "":
		c.Kind = Removed
	}
	return []Change{c}
}

// held is a certificate as it is compared.
type held struct {
	text, key, label string
	notAfter         time.Time
}

func readings(i IdP) []held {
	all := make([]held, 0, len(i.Certificates))
	for _, text := range i.Certificates {
		c, err := certificate(text)
		if err != nil { // kept facts have none such; it is compared as a text then
			c = &x509.Certificate{Raw: []byte(text), RawSubjectPublicKeyInfo: []byte(text)}
		}
		label := Fingerprint(c) + " until " + c.NotAfter.UTC().Format(time.RFC3339)
		all = append(all, held{text: text, key: string(c.RawSubjectPublicKeyInfo), label: label, notAfter: c.NotAfter})
	}
	return all
}

func without(all, other []held) []held {
	return slices.DeleteFunc(slices.Clone(all), func(h held) bool {
		return slices.ContainsFunc(other, func(o held) bool { return o.text == h.text })
	})
}

// keys compares certificates. Trust is in the key, so that another certificate for the
// same key is no other key.
func keys(before, now IdP) []Change {
	was, is := readings(before), readings(now)
	gone, come := without(was, is), without(is, was)
	var all []Change
	for _, g := range gone {
		same := func(h held) bool { return h.key == g.key }
		if i := slices.IndexFunc(come, same); i >= 0 {
			all = append(all, Change{What: Certificate, Kind: Changed, From: g.label, To: come[i].label, Destructive: come[i].notAfter.Before(g.notAfter)})
			come = slices.Delete(come, i, i+1)
			continue
		}
		all = append(all, Change{What: Certificate, Kind: Removed, From: g.label, Destructive: !slices.ContainsFunc(is, same)})
	}
	for _, c := range come {
		all = append(all, Change{What: Certificate, Kind: Added, To: c.label})
	}
	return all
}
