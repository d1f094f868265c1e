// SPDX-License-Identifier: Apache-2.0

package samlsp

// method is an allowed way of signing.
type method struct {
	name  string
	ecdsa bool
}

// signatureMethods are the allowed ones by their URI (RFC 9231, section 2.3).
var signatureMethods = map[string]method{
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256":   {name: "rsa-sha256"},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":   {name: "rsa-sha384"},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":   {name: "rsa-sha512"},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": {name: "ecdsa-sha256", ecdsa: true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": {name: "ecdsa-sha384", ecdsa: true},
}

// digests are the allowed ones by their URI: the name and the size in bytes.
var digests = map[string]struct {
	name string
	size int
}{
	"http://www.w3.org/2001/04/xmlenc#sha256":       {"sha256", 32},
	"http://www.w3.org/2001/04/xmldsig-more#sha384": {"sha384", 48},
	"http://www.w3.org/2001/04/xmlenc#sha512":       {"sha512", 64},
}

// weakAlgorithms are those that providers still offer: of signatures and of digests. DSA
// and HMAC are among them whatever their hash, for no configured key is meant for either.
var weakAlgorithms = map[string]string{
	"http://www.w3.org/2000/09/xmldsig#rsa-sha1":           "rsa-sha1",
	"http://www.w3.org/2000/09/xmldsig#dsa-sha1":           "dsa-sha1",
	"http://www.w3.org/2009/xmldsig11#dsa-sha256":          "dsa-sha256",
	"http://www.w3.org/2000/09/xmldsig#hmac-sha1":          "hmac-sha1",
	"http://www.w3.org/2001/04/xmldsig-more#hmac-md5":      "hmac-md5",
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256":   "hmac-sha256",
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha384":   "hmac-sha384",
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha512":   "hmac-sha512",
	"http://www.w3.org/2001/04/xmldsig-more#rsa-md5":       "rsa-md5",
	"http://www.w3.org/2001/04/xmldsig-more#rsa-ripemd160": "rsa-ripemd160",
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1":    "ecdsa-sha1",
	"http://www.w3.org/2000/09/xmldsig#sha1":               "sha1",
	"http://www.w3.org/2001/04/xmldsig-more#md5":           "md5",
	"http://www.w3.org/2001/04/xmlenc#ripemd160":           "ripemd160",
}
