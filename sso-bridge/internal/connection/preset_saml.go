// SPDX-License-Identifier: Apache-2.0

package connection

// The namespaces in which Microsoft's providers name their claims.
const (
	claimsXMLSOAP   = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	claimsMicrosoft = "http://schemas.microsoft.com/identity/claims/"
	claims2008      = "http://schemas.microsoft.com/ws/2008/06/identity/claims/"
)

// samlDefaults takes the NameID of a format for the subject, or with none an attribute.
func samlDefaults(claims ClaimNames, format string) Config {
	s := &SAMLConfig{Signed: SignedEither, ExpiredCertificates: ExpiredWarn}
	if format != "" {
		s.NameIDFormat, s.SubjectFormats = format, []string{format}
	}
	return Config{Protocol: SAML, SAML: s, Callback: CallbackOwn, Claims: claims}
}

func samlPresets() []Preset {
	return []Preset{
		{
			Name: "okta-saml", Title: "Okta",
			Defaults: samlDefaults(ClaimNames{Subject: "id", Email: "email", Name: "name", Groups: "groups"}, ""),
			ToThem: []Copy{
				{"Single sign-on URL", "Applications, Create App Integration, SAML 2.0, Configure SAML", RedirectURI},
				{"Audience URI (SP Entity ID)", "the same page", EntityID},
			},
			ToUs: []Copy{{"Metadata URL", "Applications, the application, Sign On, Metadata details", "saml.metadata_url"}},
			Notes: []string{
				"A person is the attribute id: an attribute statement of that name with the expression user.getInternalProperty(\"id\").",
				"Attribute statements email and name, and a group attribute statement groups, are made by hand.",
				"Metadata and certificate are the application's own; Okta signs both response and assertion.",
			},
		},
		{
			Name: "entra-saml", Title: "Microsoft Entra ID",
			Defaults: samlDefaults(ClaimNames{
				Subject: claimsMicrosoft + "objectidentifier", Email: claimsXMLSOAP + "emailaddress", Name: claimsMicrosoft + "displayname",
				GivenName: claimsXMLSOAP + "givenname", FamilyName: claimsXMLSOAP + "surname", Groups: claims2008 + "groups",
			}, ""),
			ToThem: []Copy{
				{"Identifier (Entity ID)", "Single sign-on, SAML, Basic SAML Configuration", EntityID},
				{"Reply URL (Assertion Consumer Service URL)", "Single sign-on, SAML, Basic SAML Configuration", RedirectURI},
			},
			ToUs: []Copy{{"App Federation Metadata Url", "Single sign-on, SAML Certificates; it has ?appid=", "saml.metadata_url"}},
			Notes: []string{
				"The provider's entity id is https://sts.windows.net/<tenant>/, with its final slash.",
				"A person is the object id, whatever the Name ID says.",
				"Nothing states an address verified: own the domain.",
				"Above 150 groups a link comes in their place: assign groups to the application.",
				"Leave authn_contexts out: who has signed in by another method is refused by Entra (AADSTS75011).",
			},
		},
		{
			Name: "google-saml", Title: "Google Workspace",
			Defaults: samlDefaults(ClaimNames{Subject: SubjectNameID, Email: "email", Name: "name", GivenName: "given_name", FamilyName: "family_name", Groups: "groups"}, FormatEmail),
			ToThem: []Copy{
				{"ACS URL", "Apps, Web and mobile apps, Add custom SAML app, Service provider details", RedirectURI},
				{"Entity ID", "Service provider details", EntityID},
				{"Name ID format", "Service provider details", "EMAIL"},
			},
			ToUs: []Copy{
				{"SSO URL", "Google Identity Provider details", "saml.idp.sso_url"},
				{"Entity ID", "Google Identity Provider details", "saml.idp.entity_id"},
				{"Certificate", "Google Identity Provider details", "saml.idp.certificates"},
			},
			Notes: []string{
				"A person is the e-mail address here: whoever gets another one is a new person. Prefer google-oidc, or map a custom attribute that never changes.",
				"No attribute is sent unless it is mapped.",
				"There is no metadata address: a rotation of the certificate is repeated here by hand.",
			},
		},
		{
			Name: "keycloak-saml", Title: "Keycloak",
			Defaults: samlDefaults(ClaimNames{Subject: SubjectNameID, Email: "email", Name: "name", GivenName: "given_name", FamilyName: "family_name", Groups: "groups"}, FormatPersistent),
			ToThem: []Copy{
				{"Client ID", "Clients, Create client, SAML", EntityID},
				{"Valid redirect URIs", "Clients, the client, Settings", RedirectURI},
				{"Assertion Consumer Service POST Binding URL", "Clients, the client, Advanced, Fine Grain SAML Endpoint Configuration", RedirectURI},
				{"Import client", "Clients; a file with our metadata fills in all of these and our certificate", MetadataAddress},
			},
			ToUs: []Copy{{"SAML 2.0 Identity Provider Metadata", "Realm settings, Endpoints", "saml.metadata_url"}},
			Notes: []string{
				"Name ID format is persistent and Force name ID format is on: the user name is sent otherwise.",
				"Client signature required stays on, with our certificate under Keys.",
				"Encrypt assertions stays off.",
				"Sign documents is on by default and enough; Sign assertions is needed with signed: assertion.",
			},
		},
		{
			Name: "adfs-saml", Title: "AD FS",
			Defaults: samlDefaults(ClaimNames{
				Subject: claims2008 + "primarysid", Email: claimsXMLSOAP + "emailaddress", Name: claimsXMLSOAP + "name", Groups: "http://schemas.xmlsoap.org/claims/Group",
			}, ""),
			ToThem: []Copy{{"Federation metadata address (host name or URL)", "Add Relying Party Trust, Select Data Source", MetadataAddress}},
			ToUs: []Copy{
				{"Federation Metadata", "Service, Endpoints, Metadata; its path behind https://<host>", "saml.metadata_url"},
				{"Federation Service identifier", "Service, Edit Federation Service Properties", "saml.idp_entity_id"},
			},
			Notes: []string{
				"The provider's entity id is http://<host>/adfs/services/trust, with http.",
				"A claim rule has to issue the Name ID: without one there is none, and the response is refused.",
				"Claims come by rules alone: Primary SID, E-Mail Address, Name, Group.",
				"The signing certificate renews itself each year; the metadata is read daily, and both are accepted meanwhile.",
			},
		},
		{
			Name: "generic-saml", Title: "Another SAML 2.0 provider",
			Defaults: samlDefaults(ClaimNames{
				Subject: SubjectNameID, Email: "urn:oid:0.9.2342.19200300.100.1.3", Name: "urn:oid:2.16.840.1.113730.3.1.241",
				GivenName: "urn:oid:2.5.4.42", FamilyName: "urn:oid:2.5.4.4",
			}, FormatPersistent),
			ToThem: []Copy{
				{Field: "Metadata URL of the service provider", Value: MetadataAddress},
				{Field: "Entity ID of the service provider", Value: EntityID},
				{Field: "Assertion consumer service URL", Value: RedirectURI},
			},
			ToUs:  []Copy{{Field: "Metadata URL of the identity provider", Value: "saml.metadata_url"}},
			Notes: []string{"Every field can be configured.", "Metadata can be pasted as saml.metadata, and facts typed as saml.idp."},
		},
	}
}
