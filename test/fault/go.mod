module github.com/dify-sso/dify-sso/test/fault

go 1.26

require github.com/dify-sso/dify-sso/pkg v0.0.0

replace github.com/dify-sso/dify-sso/pkg => ../../pkg
