// SPDX-License-Identifier: Apache-2.0

package ssocode

import (
	"crypto/rand"
	"regexp"

	"github.com/dify-sso/dify-sso/pkg/page"
)

// Code is a public code.
type Code string

// The public codes.
const (
	Failed            Code = "sso_failed"
	ResponseRefused   Code = "sso_response_refused"
	Expired           Code = "sso_expired"
	AlreadyUsed       Code = "sso_already_used"
	WrongBrowser      Code = "sso_wrong_browser"
	LinkUsed          Code = "sso_link_used"
	Unsolicited       Code = "sso_unsolicited"
	Cancelled         Code = "sso_cancelled"
	NotAllowed        Code = "sso_not_allowed"
	EmailNotAccepted  Code = "sso_email_not_accepted"
	EmailIsAccount    Code = "email_belongs_to_dify_account"
	IdentityLinked    Code = "sso_identity_linked"
	AccountNotLinked  Code = "sso_account_not_linked"
	IdentityTaken     Code = "sso_identity_taken"
	ConnectionChanged Code = "sso_connection_changed"
	ConnectionMissing Code = "sso_connection_unavailable"
	NoConnection      Code = "sso_no_connection"
	NotConfigured     Code = "sso_not_configured"
	ProviderSilent    Code = "sso_provider_unreachable"
	Unavailable       Code = "sso_unavailable"
	InvalidRequest    Code = "sso_invalid_request"
	InvalidUserCode   Code = "invalid_user_code"
	RateLimited       Code = "rate_limited"
)

type sentences struct{ en, zh string }

var texts = map[Code]sentences{
	Failed:            {"Sign-in could not be completed. Please try again.", "登录未能完成，请重试。"},
	ResponseRefused:   {"Your company's sign-in service sent something we cannot accept. Please give your administrator the reference below.", "贵公司的登录服务返回了无法接受的信息，请将下方编号告知管理员。"},
	Expired:           {"That took too long. Please start again.", "操作超时，请从头开始。"},
	AlreadyUsed:       {"This sign-in was already used. Start again.", "此次登录已被使用，请重新开始。"},
	WrongBrowser:      {"This sign-in was begun in another browser, so it cannot be finished here. Nothing was allowed.", "此次登录由另一浏览器发起，无法在此完成。未授予任何权限。"},
	LinkUsed:          {"This link works only once. Go back and start again.", "此链接只能使用一次，请返回重新开始。"},
	Unsolicited:       {"Please start from our sign-in page, not from your company portal.", "请从我们的登录页面开始，而不是从公司门户进入。"},
	Cancelled:         {"Sign-in was cancelled at your company's sign-in service.", "登录已在公司登录服务处取消。"},
	NotAllowed:        {"You signed in, but your company has not given you access here. Ask your administrator.", "您已登录，但尚未获准访问，请联系管理员。"},
	EmailNotAccepted:  {"Your company did not send an e-mail address we can accept. Ask your administrator.", "贵公司未提供可接受的邮箱地址，请联系管理员。"},
	EmailIsAccount:    {"This e-mail already has a workspace account. Sign in with that account instead.", "该邮箱已有工作区账号，请改用该账号登录。"},
	IdentityLinked:    {`This company identity belongs to a workspace account. Choose "Use my workspace account".`, "该企业身份已关联工作区账号，请选择“使用工作区账号”。"},
	AccountNotLinked:  {"No account is linked to this company identity yet. Sign in once with your password, then link it under Account → Security.", "该企业身份尚未关联账号。请先用密码登录，再到“账号 → 安全”中关联。"},
	IdentityTaken:     {"This company identity is already linked to another account.", "该企业身份已关联到其他账号。"},
	ConnectionChanged: {"Your administrator changed the sign-in settings just now. Start again.", "管理员刚刚更改了登录设置，请重新开始。"},
	ConnectionMissing: {"This sign-in option is not available. Choose another one.", "此登录方式不可用，请选择其他方式。"},
	NoConnection:      {"We could not find a company sign-in for that address. Check it, or ask your administrator.", "未找到该邮箱对应的企业登录，请检查或联系管理员。"},
	NotConfigured:     {"Company single sign-on is not set up here yet.", "此处尚未设置企业单点登录。"},
	ProviderSilent:    {"Your company's sign-in service did not answer. Try again in a minute.", "公司登录服务没有响应，请稍后再试。"},
	Unavailable:       {"We cannot sign you in right now. Try again in a minute.", "暂时无法登录，请稍后再试。"},
	InvalidRequest:    {"That address is incomplete. Start again.", "地址不完整，请重新开始。"},
	InvalidUserCode:   {"That code has expired or was already used. Start again from your terminal.", "代码已过期或已被使用，请在终端重新开始。"},
	RateLimited:       {"Too many tries. Wait a little, then try again.", "尝试次数过多，请稍后再试。"},
}

// Of gives the code that may be shown for a text that somebody sent: itself, or Failed
// for one that is none of ours.
func Of(text string) Code {
	if _, ok := texts[Code(text)]; ok {
		return Code(text)
	}
	return Failed
}

// Known lists the codes; for tests and documents.
func Known() []Code {
	list := make([]Code, 0, len(texts))
	for c := range texts {
		list = append(list, c)
	}
	return list
}

// Text is the sentence in a language of package page.
func (c Code) Text(lang string) string {
	t := texts[Of(string(c))]
	if lang == page.Chinese {
		return t.zh
	}
	return t.en
}

// referenceAlphabet is Crockford's base32: nothing in it is read as something else.
const referenceAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var referenceShape = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}$`)

// NewReference draws a reference such as 7K2QD-9XM4P: 50 bits, for people to read to
// each other. It opens nothing.
func NewReference() string {
	var b [10]byte
	_, _ = rand.Read(b[:])
	out := make([]byte, 0, len(b)+1)
	for i, c := range b {
		if i == len(b)/2 {
			out = append(out, '-')
		}
		out = append(out, referenceAlphabet[int(c)%len(referenceAlphabet)]) // 256 is a multiple of 32
	}
	return string(out)
}

// IsReference reports whether text has the form of a reference.
func IsReference(text string) bool { return referenceShape.MatchString(text) }
