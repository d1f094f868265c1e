// SPDX-License-Identifier: Apache-2.0

package connection

// algorithms are those that ID tokens may be signed by unless a connection says
// otherwise: no provider needs more, and none of them is symmetric.
func algorithms() []string { return []string{"RS256", "PS256", "ES256", "EdDSA"} }

func oidcDefaults(claims ClaimNames, edit func(*OIDCConfig)) Config {
	o := &OIDCConfig{Auth: AuthBasic, Scopes: []string{"openid", "email", "profile"}, Algorithms: algorithms()}
	if edit != nil {
		edit(o)
	}
	return Config{Protocol: OIDC, OIDC: o, Callback: CallbackOwn, Claims: claims}
}

// standard are the claims of OpenID Connect Core section 5.1.
func standard(groups string) ClaimNames {
	return ClaimNames{Subject: "sub", Email: "email", EmailVerified: "email_verified", Name: "name", GivenName: "given_name", FamilyName: "family_name", Groups: groups}
}

func forgeDefaults(o OAuth2Config) Config {
	o.Auth, o.PKCE = AuthPost, PKCES256
	return Config{Protocol: OAuth2, OAuth2: &o, Callback: CallbackOwn, Claims: ClaimNames{Subject: "id", Email: "email", EmailVerified: "email_verified", Name: "name"}}
}

func client(p Protocol, id, secret string) []Copy {
	return []Copy{{Field: id, Value: string(p) + ".client_id"}, {Field: secret, Value: string(p) + ".client_secret"}}
}

// presets is made anew for each caller, who may change what it gets.
func presets() []Preset { return append(samlPresets(), oauthPresets()...) }

func oauthPresets() []Preset {
	return []Preset{
		{
			Name: "okta-oidc", Title: "Okta",
			Defaults: oidcDefaults(standard("groups"), nil),
			ToThem:   []Copy{{"Sign-in redirect URIs", "Applications, the application, General, Login", RedirectURI}},
			ToUs:     append(client(OIDC, "Client ID", "Client secret"), Copy{"Issuer", "https://<org>.okta.com, or Security, API, Authorization Servers for a custom one", "oidc.issuer"}),
			Notes: []string{
				"The e-mail comes by userinfo, because the ID token of a code flow is thin.",
				"Groups need a groups claim filter on the application, and the scope groups with the org authorization server.",
				"A custom domain changes the issuer of the applications that use it.",
			},
		},
		{
			Name: "entra-oidc", Title: "Microsoft Entra ID",
			Defaults: entraDefaults(),
			ToThem:   []Copy{{"Redirect URI", "Authentication, Add a platform, Web", RedirectURI}},
			ToUs:     append(client(OIDC, "Application (client) ID", "Value"), Copy{"Directory (tenant) ID", "Overview; it stands inside the issuer", "oidc.issuer"}),
			Notes: []string{
				"The issuer is https://login.microsoftonline.com/<tenant>/v2.0, with {tenantid} for several tenants, which are then listed in allow.tenants.",
				"A person is oid with tid. sub differs for each application, and addresses change.",
				"There is no email_verified: own the domain, or send the optional claim xms_edov.",
				"Above 200 groups a link comes in their place: assign groups to the application.",
				"Guests are refused unless guests is allow.",
			},
		},
		{
			Name: "google-oidc", Title: "Google Workspace",
			Defaults: oidcDefaults(standard(""), func(o *OIDCConfig) {
				o.Issuer, o.Hosted, o.Algorithms = "https://accounts.google.com", "hd", []string{"RS256"}
			}),
			ToThem: []Copy{{"Authorized redirect URIs", "Google Auth Platform, Clients, the client", RedirectURI}},
			ToUs:   client(OIDC, "Client ID", "Client secret"),
			Notes: []string{
				"hd names the organisation and must be in allow.domains; a consumer's account has none.",
				"Google sends no groups.",
			},
		},
		{
			Name: "keycloak-oidc", Title: "Keycloak",
			Defaults: oidcDefaults(standard("groups"), nil),
			ToThem:   []Copy{{"Valid redirect URIs", "Clients, the client, Settings", RedirectURI}},
			ToUs:     append(client(OIDC, "Client ID", "Client Secret"), Copy{"OpenID Endpoint Configuration", "Realm settings; its member issuer", "oidc.issuer"}),
			Notes: []string{
				"email_verified is false for users whom an administrator made; false refuses, also under an owned domain.",
				"Groups need the mapper Group Membership with the claim name groups.",
				"Before version 17 the issuer has /auth in front of /realms.",
			},
		},
		{
			Name: "github", Title: "GitHub",
			Defaults: forgeDefaults(OAuth2Config{ //nolint:gosec // addresses, no credentials
				Kind: KindGitHub, AuthorizationURL: "https://github.com/login/oauth/authorize", TokenURL: "https://github.com/login/oauth/access_token",
				UserinfoURL: "https://api.github.com/user", Scopes: []string{"read:user", "user:email"},
			}),
			OnBase: &BaseAddresses{"{base}/login/oauth/authorize", "{base}/login/oauth/access_token", "{base}/api/v3/user"},
			ToThem: []Copy{{"Authorization callback URL", "Settings of the organization, Developer settings, OAuth Apps", RedirectURI}},
			ToUs:   client(OAuth2, "Client ID", "Client secret"),
			Notes: []string{
				"A person is the numeric id; a login name can be taken over by somebody else.",
				"The e-mail is the primary address, when GitHub has verified it.",
				"allow.organizations adds the scope read:org, and the organization has to approve the application.",
			},
		},
		{
			Name: "gitlab", Title: "GitLab",
			Defaults: forgeDefaults(OAuth2Config{ //nolint:gosec // addresses, no credentials
				Kind: KindGitLab, AuthorizationURL: "https://gitlab.com/oauth/authorize", TokenURL: "https://gitlab.com/oauth/token",
				UserinfoURL: "https://gitlab.com/api/v4/user", Scopes: []string{"read_user"},
			}),
			OnBase: &BaseAddresses{"{base}/oauth/authorize", "{base}/oauth/token", "{base}/api/v4/user"},
			ToThem: []Copy{{"Redirect URI", "Settings of the group, Applications", RedirectURI}},
			ToUs:   client(OAuth2, "Application ID", "Secret"),
			Notes:  []string{"A person is the numeric id, and active.", "The e-mail counts once it is confirmed.", "base_url names a server of your own."},
		},
		{
			Name: "generic-oidc", Title: "Another OpenID provider",
			Defaults: oidcDefaults(standard(""), nil),
			ToThem:   []Copy{{Field: "Redirect URI", Value: RedirectURI}},
			ToUs:     append([]Copy{{Field: "Issuer", Value: "oidc.issuer"}}, client(OIDC, "Client ID", "Client secret")...),
			Notes:    []string{"Every field can be configured."},
		},
		{
			Name: "generic-oauth2", Title: "Another OAuth 2.0 provider",
			Defaults: Config{
				Protocol: OAuth2, Callback: CallbackOwn, OAuth2: &OAuth2Config{Kind: KindGeneric, Auth: AuthBasic, PKCE: PKCES256},
				Claims: ClaimNames{Email: "email", EmailVerified: "email_verified", Name: "name"},
			},
			ToThem: []Copy{{Field: "Redirect URI", Value: RedirectURI}},
			ToUs: append(client(OAuth2, "Client ID", "Client secret"), Copy{Field: "Authorization endpoint", Value: "oauth2.authorization_url"},
				Copy{Field: "Token endpoint", Value: "oauth2.token_url"}, Copy{Field: "Profile (userinfo) endpoint", Value: "oauth2.userinfo_url"}),
			Notes: []string{
				"oauth2.subject_path says where the permanent id stands in the profile; never a login name or an address.",
				"Choose generic-oidc if the provider has OpenID Connect.",
			},
		},
	}
}

func entraDefaults() Config {
	c := oidcDefaults(ClaimNames{Subject: "oid", Email: "email", EmailVerified: "xms_edov", Name: "name", Groups: "groups"}, func(o *OIDCConfig) {
		o.Entra, o.Algorithms = true, []string{"RS256"}
	})
	c.Guests = GuestsRefuse
	return c
}
