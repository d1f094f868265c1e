module github.com/dify-sso/dify-sso/test/guards

go 1.26.6
