module github.com/dify-sso/dify-sso/sso-bridge

go 1.26.6
