module github.com/dify-sso/dify-sso/sso-bridge

go 1.26.6

require github.com/dify-sso/dify-sso/pkg v0.0.0

require (
	github.com/nicksnyder/go-i18n/v2 v2.7.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	github.com/dify-sso/dify-sso/migrations => ../migrations
	github.com/dify-sso/dify-sso/pkg => ../pkg
)
