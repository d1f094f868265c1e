module github.com/dify-sso/dify-sso/sso-bridge

go 1.26.6

require (
	github.com/coreos/go-oidc/v3 v3.21.0
	github.com/dify-sso/dify-sso/pkg v0.0.0
	github.com/go-jose/go-jose/v4 v4.1.8
	golang.org/x/oauth2 v0.37.0
	golang.org/x/sync v0.24.0
)

require (
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
	github.com/nicksnyder/go-i18n/v2 v2.7.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	github.com/dify-sso/dify-sso/migrations => ../migrations
	github.com/dify-sso/dify-sso/pkg => ../pkg
)
