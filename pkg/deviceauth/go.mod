module github.com/dify-sso/dify-sso/pkg/deviceauth

go 1.26.6
