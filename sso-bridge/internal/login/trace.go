// SPDX-License-Identifier: Apache-2.0

package login

import "time"

// Trace is the redacted record of one attempt. Only these fields exist, so that nothing
// else can leak: no message, token, code, e-mail, name, claim value or cookie.
type Trace struct {
	RequestID     string     `json:"request_id,omitempty"`
	Protocol      string     `json:"protocol,omitempty"`
	Preset        string     `json:"preset,omitempty"`
	StartedAt     *time.Time `json:"started_at,omitempty"`
	ReturnedAt    *time.Time `json:"returned_at,omitempty"`
	Steps         []Step     `json:"steps,omitempty"`
	Browser       *Browser   `json:"browser,omitempty"`
	Address       string     `json:"address,omitempty"` // cut to /24 or /48
	ResponseBytes int        `json:"response_bytes,omitempty"`
	XMLElements   int        `json:"xml_elements,omitempty"`
	SignedParts   []string   `json:"signed_parts,omitempty"`
	Algorithms    []string   `json:"algorithms,omitempty"`
	// CertificateFingerprint is SHA-256 in hex, of the certificate that verified a message.
	CertificateFingerprint string     `json:"certificate_fingerprint,omitempty"`
	CertificateNotAfter    *time.Time `json:"certificate_not_after,omitempty"`
	CertificateExpired     bool       `json:"certificate_expired,omitempty"`
	NameIDFormat           string     `json:"name_id_format,omitempty"`
	MetadataDigest         string     `json:"metadata_digest,omitempty"`
	Issuer                 string     `json:"issuer,omitempty"`
	ClockSkew              *float64   `json:"clock_skew_s,omitempty"`
	AuthAge                *int64     `json:"auth_age_s,omitempty"`
	ACR                    string     `json:"acr,omitempty"`
	ClaimNames             []string   `json:"claim_names,omitempty"`
	ClaimSizes             []int      `json:"claim_sizes,omitempty"` // bytes, in the order of the names
	GroupCount             *int       `json:"group_count,omitempty"`
	Overage                bool       `json:"overage,omitempty"`
	SubjectHash            string     `json:"subject_hash,omitempty"`
	EmailDomain            string     `json:"email_domain_hash,omitempty"`
	Expected               string     `json:"expected,omitempty"`
	Got                    string     `json:"got,omitempty"`
	ProviderHost           string     `json:"provider_host,omitempty"`
	ProviderStatus         int        `json:"provider_status,omitempty"`
	LastGood               *LastGood  `json:"last_good,omitempty"`
}

// Step is one part of an attempt and how long it took.
type Step struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"ms"`
	OK           bool    `json:"ok"`
}

// Browser is what a user agent says of itself, coarsely.
type Browser struct {
	Family string `json:"family"`
	Major  string `json:"major,omitempty"`
}

// LastGood names what differs from the connection's last success.
type LastGood struct {
	Reference string   `json:"reference"`
	Diff      []string `json:"diff"`
}
