module github.com/dify-sso/dify-sso/core

go 1.26.6

require (
	github.com/chromedp/chromedp v0.23.0
	github.com/dify-sso/dify-sso/migrations v0.0.0
	github.com/dify-sso/dify-sso/pkg v0.0.0
	github.com/gofiber/fiber/v2 v2.52.15
	github.com/google/go-cmp v0.7.0
	github.com/google/uuid v1.6.0
	github.com/mattn/go-isatty v0.0.24
	github.com/pressly/goose/v3 v3.29.0
	github.com/prometheus/client_golang v1.25.0
	github.com/spf13/cobra v1.10.2
	github.com/valyala/fasthttp v1.77.0
	golang.org/x/crypto v0.58.0
	golang.org/x/oauth2 v0.37.0
	golang.org/x/sync v0.24.0
	golang.org/x/text v0.43.0
	modernc.org/libc v1.79.0
	modernc.org/sqlite v1.61.1
)

replace (
	github.com/dify-sso/dify-sso/migrations => ../migrations
	github.com/dify-sso/dify-sso/pkg => ../pkg
)
