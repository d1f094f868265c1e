// SPDX-License-Identifier: Apache-2.0

package envelope

// ExternalSubjectClaims say who came back from an identity provider, for one device and
// one browser. UserCodeDigest, Nonce and Binding are copies of what core gave when the
// login began: the bridge cannot make them.
type ExternalSubjectClaims struct {
	Connection     string   `json:"connection"`
	ConnectionName string   `json:"connection_name"`
	Attempt        string   `json:"attempt"` // the reference that people read to each other
	UserCodeDigest string   `json:"user_code_digest"`
	Nonce          string   `json:"nonce"`
	Binding        string   `json:"bnd"`
	SubjectType    string   `json:"sub_type"` // always external_sso
	Issuer         string   `json:"issuer"`   // of the identity, not of this message
	Subject        string   `json:"sub"`
	Email          string   `json:"email"`
	EmailVerified  bool     `json:"email_verified"`
	Name           string   `json:"name,omitempty"`
	AuthTime       int64    `json:"auth_time,omitempty"` // seconds since 1970
	AMR            []string `json:"amr,omitempty"`
	ACR            string   `json:"acr,omitempty"`
}

// SubjectExternal is the only sub_type.
const SubjectExternal = "external_sso"
