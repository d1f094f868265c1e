module github.com/dify-sso/dify-sso/migrations

go 1.26.6
