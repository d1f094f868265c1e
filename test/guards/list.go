// SPDX-License-Identifier: Apache-2.0

package main

// place says where guards stand, and which tests know of them, the cheap ones first.
type place struct {
	file string
	// funcs are functions whose conditions are guards; with chain, what they append to a
	// route's chain of handlers is.
	funcs string
	chain bool
	// entries are the tests by entry of a chain; an entry that is none of them fails.
	entries map[string][]suite
	// skip are conditions that guard nothing: a failure is passed on, a shortcut taken.
	skip []string
	// second are guards behind or before another, and what that is.
	second map[string]string
	// errs are parts of the statements whose error is a verdict; * is every one.
	errs string
	// cut is a text that stands once in the file and is replaced, for guards in the
	// language of a store; what says which guard that is.
	what, cut, instead string
	suites             []suite
}

func unit(pkg string) suite          { return suite{pkg: pkg} }
func end(run string) suite           { return suite{pkg: "core/internal/apitest", run: run} }
func sqlite(run string) suite        { return suite{"core/internal/sqlstore", "^TestStoresOnSQLite$/" + run} }
func redis(run string) suite         { return suite{"core/internal/redisstore", run} }
func by(suites ...suite) []suite     { return suites }
func in(pkg, file string) string     { return "core/internal/" + pkg + "/" + file }
func sql(file string) string         { return in("sqlstore", file) }
func bridge(pkg, file string) string { return "sso-bridge/internal/" + pkg + "/" + file }
func bridged(pkg string) suite       { return unit("sso-bridge/internal/" + pkg) }
func own(pkg string) suite           { return unit("core/internal/" + pkg) }
func also(s suite, e string) []suite { return by(s, end(e)) }

const (
	matrix  = "^(TestEveryRouteForEveryCaller|TestEveryOtherMethod)$"
	csrf    = "^(TestDecisionsComeFromOurOwnPages|TestCSRFOnEveryConsoleWrite)$"
	bodies  = "^(TestMediaOfBodies|TestBodiesAndHeaderBlocks)$"
	limited = "^(TestDeviceAuthorizationLimits|TestDeviceDecisionsAreLimited|TestLimitsOfIntrospectionAndRevocation|TestWrongPasswordsAreBounded|TestOneBudgetForANetwork|TestSetUpCodeIsGuarded|TestOrderOfThePipeline|TestManyIdentitiesAtOnce)$"
	members = "^(TestMemberMatrix|TestWorkspaces|TestWorkspacesOfOthers|TestRolesAreReadByTheAct|TestRemovingAPendingMember|TestInvitations|TestInviteLimits|TestAcceptingAnInvitation|TestActivation|TestMembersPage)$"
	company = "^(TestExternalSubjectIsAsked|TestExternalSubjectDecides|TestExternalDecisionsAreLimited|TestDecidingOnTheApprovalPage)$"
	setUp   = "^(TestBeforeSetUp|TestSetUpByPage|TestSetUpByScript)$"
)

// An entry that no row reaches today; the row that does is in the tests of all rows.
const (
	noLimit = "no row of the class has a limit of its own; TestEveryLimitOfARowIsAsked asks those that come"
	noBody  = "no row of the class takes a body; TestEveryRouteRefusesOtherMedia asks those that come"
)

// places are all the guards, area by area.
var places = []place{
	// What stands before a handler.
	{file: in("httpapi", "guards.go"), funcs: "guards", chain: true, entries: map[string][]suite{
		"limit": by(end("^TestEveryLimitOfARowIsAsked$"), end(limited)), "read": by(end("^TestEveryRouteRefusesOtherMedia$"), end("^TestRequestsOfIntrospection$")), "formGuard": by(end("^TestEveryFormRefusesARepeatedField$"), end(csrf)), "r.first": by(end("^TestTokenAnswer$|^TestPollingInterval$|^TestDeviceCodesThatAreNone$|^TestOAuth2$"), end("^TestCompanySignInsAreNotThere$")),
		"a.setUpGuard": by(end(setUp)), "a.loopbackGuard": by(end("^TestOtherLoopbackNames$")), "a.bearerGuard": by(end(matrix)), "a.sessionGuard": by(end(matrix)),
		"a.clientGuard": by(end("^TestWhoMayIntrospect$"), end(matrix)), "a.pageGuard": by(end(setUp), end(matrix)), "a.signedPageGuard": by(end(matrix)),
		"byGrantGuard": by(end(company)), "a.grantViewGuard": by(end(company)), "a.grantGuard": by(end(company)), "a.grantCSRFGuard": by(end(company)),
		"flag": by(end("^TestBearersAreOff$"), end("^TestEditionsOfCompanySignIn$")), "codes": by(end("^(TestApprovalContext|TestWrongUserCodesAreBounded)$")),
		"a.csrfHeaderGuard": by(end(csrf)), "a.csrfFormGuard": by(end(csrf)), "a.looseGuard": by(end(csrf)), "a.signInOriginGuard": by(end("^TestForeignOriginsOfRoutesWithoutASession$")),
	}, second: map[string]string{
		"guards: bearer: limit": noLimit, "guards: cookieRead: limit": noLimit, "guards: cookieLoose: limit": noLimit, "guards: signIn: limit": noLimit, "guards: static: limit": noLimit,
		"guards: pageSigned: flag": "the pages of the device flow are shown to everybody; TestBearersAreOff asks those that come", "guards: cookieLoose: read": noBody,
	}},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "limitGuard", suites: by(end(limited))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "readBody", skip: []string{"len(r.media) == 0"}, suites: by(end(bodies))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "bearerGuard sessionGuard", suites: by(end(matrix))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "setUpGuard", skip: []string{"at, err := a.Installation.SetUpAt(c.UserContext()); err != nil"}, suites: by(end(setUp))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "csrfHeaderGuard csrfFormGuard checkCSRF signInOriginGuard", suites: by(end(csrf), end(matrix)), second: map[string]string{
		"checkCSRF: binder.IsZero()": "nobody can make the token of no session",
	}},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "looseGuard", suites: by(end(csrf), end(matrix+"|TestEveryRouteWhenAStoreFails"))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "formGuard", suites: by(end("^TestEveryFormRefusesARepeatedField$"))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "loopbackGuard", suites: by(end("^TestOtherLoopbackNames$"))},
	{file: in("httpapi", "oauth.go"), errs: "*", funcs: "clientGuard requireToken", suites: by(end("^(TestWhoMayIntrospect|TestRequestsOfIntrospection|TestRevocation)$"))},
	{file: in("httpapi", "pages.go"), errs: "*", funcs: "returnTarget", suites: by(own("httpapi")), second: map[string]string{
		`returnTarget: !strings.HasPrefix(s, "/")`: "every path of the list begins so", "returnTarget: u.IsAbs()": "a scheme stands before a slash",
		`returnTarget: u.Host != ""`: "a host stands behind two", `returnTarget: strings.HasPrefix(s, "//")`: "what stands behind two slashes is a host, or a path with two", "returnTarget: r < ' '": "the parser refuses it", "returnTarget: r == 0x7f": "the parser refuses it",
	}},
	{file: in("httpapi", "pages.go"), errs: "*", funcs: "signedPageGuard", suites: by(end(matrix))},
	{file: in("httpapi", "cookies.go"), errs: "*", funcs: "cookie", suites: by(end("^TestCookieTricks$"))},
	{file: in("httpapi", "inner_key.go"), errs: "*", funcs: "innerKey", suites: by(own("httpapi"))},
	{file: in("httpapi", "inner_proxies.go"), errs: "*", funcs: "parseVerify fitsHeader", suites: also(own("httpapi"), "^Test(ForwardAuth|ExtAuthz|KeysOf|SubjectsOf)")},
	{file: in("httpapi", "device.go"), errs: "*", funcs: "refuseBasic deviceToken", skip: []string{"err := c.JSON(newTokenResponse(r)); err != nil"},
		suites: by(end("^(TestDeviceCodesThatAreNone|TestPollLimitOfAnAddress|TestTokenAnswer|TestPollingInterval|TestAnApprovalThatHoldsNoMore)$")), second: map[string]string{"deviceToken: !devicegrant.ValidDeviceCode(poll.DeviceCode)": "the service asks too, after the limit"}},
	{file: in("httpapi", "pages_device.go"), errs: "*", funcs: "devicePage deviceDecisionForm deviceEntryForm", skip: []string{"allow", "comesBack(c)", "a.offersSSO(c.UserContext())"},
		suites: by(end("^(TestCodesFromLinks|TestALinkThatBringsTheCode|TestOnlyThePostedDecisionApproves|TestOnlyAPendingCodeCountsAsTyped|TestRefusingOnThePage|TestRequestsThatRepeat|TestDeviceLookup|TestWrongUserCodesAreBounded|TestNotYou|TestADecidedCodeIsNotAskedFor|TestTypedCodesAreLimitedOnThePage)$"), end("^TestATypedCodeThatCannotBeLookedUp$")), second: map[string]string{
			"devicePage: !ok": "no proof is made for what is no code", "deviceDecisionForm: !ok": "no proof is made for what is no code",
		}},

	// Who may call.
	{file: in("authz", "bearer.go"), errs: "*", funcs: "Authenticate resolve bearer refuse", skip: []string{
		"policy, err := b.Limits.Policy(limits.BearerToken); err != nil",
	}, suites: by(own("authz"), end("^Test(ForwardAuth|LimitsOfForwardAuth|OrderOfThePipeline|BearersThatAreNone|BadBearers|BearersAreOff)$"))},
	{file: in("authz", "clients.go"), errs: "*", funcs: "NewClients Authenticate matches basic", suites: by(own("authz")), second: map[string]string{
		"Authenticate: !ok":                        "what is no Basic header has no secret, and no client is without one",
		"Authenticate: !known":                     "nobody's digest is nought",
		"matches: len(password) > maxClientSecret": "it bounds what is hashed",
		"basic: !found":                            "no text is the encoding of user and secret",
		"basic: len(value) > 4*maxClientSecret":    "it bounds what is decoded",
	}},
	{file: in("token", "kind.go"), errs: "*", funcs: "Has Parse NewKindRegistry", suites: by(own("token"), own("authz"))},
	{file: "pkg/limits/limits.go", errs: "*", funcs: "New Take Judge Spent", skip: []string{"p.Limit == 0"}, suites: by(own("limits"), unit("pkg/limits")),
		second: map[string]string{"Spent: !ok": "a policy of nobody is not counted here"}},

	// Console.
	{file: in("console", "csrf.go"), errs: "*", funcs: "CheckCSRF CheckProvenance refererIs", skip: []string{"onlyWhatIsSent", "p.FetchSite != \"\"", "p.Origin != \"\"", "p.TokenInHeader", "refererIs(p.Referer, public)"},
		suites: by(own("console")), second: map[string]string{`refererIs: return u.Host != ""`: "our own address has a host"}},
	{file: in("console", "service.go"), funcs: "Authenticate live SignIn End", suites: also(own("console"), "^TestConsoleSessionLife$")},

	// Device grant.
	{file: in("devicegrant", "entry.go"), errs: "*", funcs: "Check", suites: by(own("devicegrant")), second: map[string]string{
		"Check: !ok": "no proof is made for what is no code", "Check: return err == nil": "the time is under the proof, so it is ours",
	}},
	{file: in("devicegrant", "service.go"), funcs: "Start Find FindPending", suites: also(own("devicegrant"), "^TestDeviceAuthorizationRequest$")},
	{file: in("devicegrant", "redeem.go"), funcs: "Poll redeem settleFailed", suites: by(own("devicegrant"))},
	{file: in("devicegrant", "decide.go"), funcs: "Approve decide",
		suites: by(own("devicegrant"))},
	{file: in("memstore", "grants.go"), funcs: "Poll Find Decide owned", suites: by(own("memstore"))},
	{file: in("memstore", "bearers.go"), funcs: "Get keep covers", suites: by(own("memstore")), second: map[string]string{
		"keep: err := ctx.Err(); life <= 0": "an entry without a life covers no moment",
	}},

	// Tokens and what ends them.
	{file: in("token", "mint.go"), errs: "s.recheck write(", funcs: "Mint mintOnce recheck recheckExternal write", suites: by(own("token"), own("devicegrant")), second: map[string]string{
		"mintOnce: _, refused := errors.AsType[*RefusedError](err); refused":                      "whoever asks finds the cause behind a failure of the store too",
		"mintOnce: _, refused := errors.AsType[*RefusedError](err); errors.Is(err, ErrFenced)":    "as above",
		"mintOnce: _, refused := errors.AsType[*RefusedError](err); errors.Is(err, ErrHashTaken)": "as above",
	}},
	{file: in("token", "resolve.go"), funcs: "ResolveKnown load", suites: by(own("token"), own("authz"), end("^(TestTokenExpiry|TestAnAccountThatIsNotActive|TestARowThatContradictsItself|TestTokenStoreOutage)$"))},
	{file: in("token", "revocation.go"), funcs: "Revoke", suites: also(own("token"), "^TestRevocation$")},
	{file: in("token", "bury.go"), funcs: "take", suites: by(own("token"))},
	{file: in("access", "kill.go"), errs: "t.Check", funcs: "Kill run ownAccount linked", skip: []string{`t.ConnectionID == ""`, `t.Email == ""`, `t.SubjectID == ""`}, suites: also(own("access"), "^TestSubjectsRevoke$")},
	{file: in("access", "status.go"), funcs: "SetStatus status", suites: by(own("access"))},
	{file: in("access", "password.go"), errs: "Passwords.Check", funcs: "ChangePassword changePassword rotate", suites: also(own("access"), "^TestPasswordChange$"), second: map[string]string{
		"changePassword: errors.Is(err, account.ErrNotFound)": "an account that is gone took its browsers along",
	}},
	{file: in("access", "sessions.go"), funcs: "ListTokens RevokeSession", suites: by(own("access"), own("operator")), second: map[string]string{
		"RevokeSession: !canon.IsID(id)": "no row has such an id; it spares the question",
	}},
	{file: in("access", "target.go"), funcs: "Check bounded", suites: by(own("access"))},

	// Workspaces, who belongs to them and who may come.
	{file: in("workspace", "members.go"), funcs: "Find Remove SetRole Switch enter target", skip: []string{"place.Current"}, suites: by(sqlite("members"), end(members)), second: map[string]string{
		"Remove: _, err := tx.LockAccount(ctx, member); errors.Is(err, account.ErrNotFound)": "who is gone is no member, and no row goes",
		"target: !canon.IsID(member)":      "no member has such an id; it spares the question",
		"Switch: !canon.IsID(workspaceID)": "no workspace has such an id; it spares the question",
		"Switch: _, err := tx.LockAccount(ctx, accountID); errors.Is(err, account.ErrNotFound)": "who is gone is a member of nothing",
		"Switch: !place.Current": "a removal waits for the account's lock, which this act holds",
	}},
	{file: in("workspace", "invite.go"), funcs: "Invite place mayTake room", skip: []string{"m.Role == role", "s.MemberLimit == 0", "!held", "listed", "err != nil && !errors.Is(err, ErrMemberNotFound)"}, suites: by(sqlite("members"), end(members))},
	{file: in("workspace", "invitations.go"), funcs: "Invitation Accept own answer Activate", suites: by(sqlite("members"), end(members), end("^(TestActivatePage|TestLimitOfInvitations|TestAFullWorkspaceOnThePages)$")), second: map[string]string{
		"Invitation: len(link.Reveal()) != tokenLength": "no invitation has the digest of another text; it spares the question",
		"own: i.Pending()": "a pending account has no session to answer with",
		"answer: _, err := tx.LockWorkspace(ctx, i.WorkspaceID); errors.Is(err, ErrNotFound)": "the look at the invitation has asked; this is for a workspace that goes in that very moment",
		"Activate: !i.Pending()":             "an account is activated while it is pending, and not again",
		"Accept: a.Status != account.Active": "it is for a ban in that very moment, and what a banned account accepts opens nothing",
	}},

	// Sign-in through a company: the messages of both services, core's half, the bridge's.
	{file: "pkg/envelope/verify.go", errs: "*", funcs: "Verify split checkHeader decode fill shallow inTime isID", suites: by(unit("pkg/envelope")), second: map[string]string{
		"split: err != nil": "what does not decode is not encoded alike", "isID: return err == nil": "what does not decode is not encoded alike",
		"decode: !shallow(raw, maxDepth)": "what is deeper is of no claim's type", "shallow: depth++; depth > most": "it bounds what is parsed",
		"fill: return err == nil": "what was decoded encodes", "inTime: return r.IssuedAt >= 0": "a capped life that begins before 1970 is over",
	}},
	{file: "pkg/envelope/inner.go", funcs: "Admit", suites: by(unit("pkg/envelope"))},
	{file: in("httpapi", "sso_decide.go"), errs: "*", funcs: "grantGuard checkGrantCSRF", suites: by(end(company))},
	{file: in("sso", "complete.go"), errs: "s.assertions.Verify", funcs: "Complete bound fit", skip: []string{"!ok"}, suites: by(end("^TestCompanySignInEnds$"))},
	{file: in("sso", "decide.go"), funcs: "Context pending Decide mayApprove", suites: by(own("sso"), end(company), end("^TestExternalSubjectWithAnAccount$")), second: map[string]string{
		"Decide: !ok": "the code of no grant is empty",
	}},
	{file: in("sso", "flow.go"), errs: "*", funcs: "ParseFlow", suites: by(own("sso")), second: map[string]string{
		"ParseFlow: !ok": "no code is behind what has no dot", "ParseFlow: err != nil": "what does not decode is not encoded alike",
	}},
	{file: bridge("login", "finish.go"), funcs: "Finish claim judge", skip: []string{"errors.Is(err, ErrNoAttempt)", "err != nil && unsealed != nil"}, suites: by(bridged("login")), second: map[string]string{
		"claim: !now.Before(row.ExpiresAt)": "the record goes with the attempt", "claim: unsealed != nil": "what did not open names no attempt",
		"claim: claims.Intent != row.Intent": "an intent has to fit the form of its record", "claim: errors.Is(err, ErrMoved)": "a record is taken once",
		"judge: !ok": "every protocol has a provider",
	}},
	{file: bridge("login", "start.go"), errs: "s.open", funcs: "Start", skip: []string{"errors.Is(err, ErrNoAttempt)"}, suites: by(bridged("login")), second: map[string]string{
		"Start: !isOpener(link)": "nothing lies under another text", "Start: _, err := s.open(link, sealed, &t); err != nil": "an empty ticket names no attempt",
		"Start: r.attempt.State != StateCreated": "a ticket is taken once", "Start: !s.Now().Before(r.attempt.ExpiresAt)": "a ticket lives shorter than its attempt",
	}},
	{file: bridge("login", "start.go"), errs: "s.open", funcs: "unsealed serving", skip: []string{"refused, ok := errors.AsType[*envelope.RefusedError](err); ok", "errors.Is(err, connection.ErrUnknownRevision)"}, suites: by(bridged("login")), second: map[string]string{
		"unsealed: e, err := r.s.open(handle, sealed, &rec); err != nil": "no envelope is in what did not open",
		"unsealed: (rec.Test != nil) != (c.Intent == connection.Test)":   "the claim compares the intent with the attempt's", "serving: c.Hash != a.Revision": "a revision is asked for by its hash",
	}},
	{file: bridge("login", "result.go"), errs: "s.open", funcs: "TestResult", suites: by(bridged("login")), second: map[string]string{
		"TestResult: !isOpener(link)": "nothing lies under another text", "TestResult: _, err := s.open(link, sealed, &k); err != nil": "an empty result is bound to no browser",
		"TestResult: errors.Is(err, ErrTaken)": "a result is read and never taken",
	}},
	{file: bridge("login", "vault.go"), errs: "box.Open", funcs: "aead open isOpener", suites: by(bridged("login")), second: map[string]string{
		"aead: len(raw) != sha256.Size": "what is no opener gets here nowhere", "isOpener: return err == nil": "what does not decode has another length",
		"isOpener: return len(text) == digestLength": "32 bytes are 43 characters", "isOpener: return len(raw) == sha256.Size": "43 characters are 32 bytes",
	}},
	{file: bridge("oidcrp", "idtoken.go"), funcs: "parseHeader idToken checkAudience checkTime checkNonce checkHash checkSubject checkSignIn", suites: by(bridged("oidcrp")), second: map[string]string{
		"parseHeader: !ok": "what does not decode is no object", "idToken: payload, ok := decode(parts[1]); !ok": "the signature's library decodes it too",
		"checkAudience: !ok": "no list holds us", "checkNonce: !ok": "no nonce is empty", "checkNonce: want.IsZero()": "an attempt without a nonce is not begun",
		"checkHash: !ok": "what is no text is no digest", "checkHash: value.IsZero()": "a digest of nothing is none that a provider has reason to make", "checkSubject: !ok": "what is no text is empty",
		"checkTime: !ok": "no iat and no exp are of 1970, which is over; that an nbf is a number, TestAttacks asks", "checkSignIn: !ok": "no auth_time is of 1970",
	}},

	// What a request may look like.
	{file: "pkg/wire/json.go", errs: "*", funcs: "Members walk loneSurrogate", suites: by(unit("pkg/wire")), second: map[string]string{
		"Members: err := walk(dec, 1); err != nil":                "what the walk leaves unread is trailing data",
		"Members: _, err := dec.Token(); !errors.Is(err, io.EOF)": "the second reading takes one value and no more",
		"walk: tok, err := dec.Token(); err != nil":               "the second reading refuses what is no JSON",
		"walk: err := walk(dec, depth+1); err != nil":             "what an inner value leaves unread is missing at the end",
		"walk: name, err := dec.Token(); err != nil":              "what is no token is no name",
		"walk: !ok":                       "the decoder takes no other name than a text",
		"loneSurrogate: i+5 >= len(body)": "an object ends with two characters behind any text",
	}},
	{file: "pkg/wire/form.go", errs: "*", funcs: "parse unescape MediaType", skip: []string{"pair == \"\""}, suites: by(unit("pkg/wire")), second: map[string]string{
		`MediaType: media == ""`: "an empty type is an error of the parser",
	}},
	{file: "pkg/server/strict.go", errs: "*", funcs: "strictly ambiguous", suites: by(unit("pkg/server"), end("^TestFraming$")), second: map[string]string{
		"ambiguous: !bytes.EqualFold(bytes.TrimSpace(value), chunked)": "fasthttp refuses other codings too, as of the version in go.mod",
	}},
	{file: "pkg/server/body.go", errs: "*", funcs: "Body", skip: []string{"stream == nil"}, suites: by(unit("pkg/server"), end(bodies), end("^TestFraming$"))},
	{file: "pkg/clientip/clientip.go", errs: "*", funcs: "Client", suites: by(unit("pkg/clientip"))},
	{file: "pkg/canon/canon.go", errs: "*", funcs: "Email UserCode Text IsID", suites: by(unit("pkg/canon")), second: map[string]string{
		"Email: len(s) < minEmail": "one @ between two characters is three", "UserCode: r > unicode.MaxASCII": "the alphabet has no other symbol",
		"IsID: len(s) != 36": "the spelling is compared", "IsID: return err == nil": "what is no UUID is not spelled like one",
	}},

	// What the stores refuse in their own language.
	{file: sql("tokens.go"), what: "an ended token resolves no more", cut: "WHERE t.token_hash = $1 AND t.revoked_at IS NULL", instead: "WHERE coalesce(t.token_hash, t.previous_hash) = $1", suites: by(sqlite("."))},
	{file: sql("tokens.go"), what: "a list holds live sessions", cut: "own + ` AND t.revoked_at IS NULL AND t.expires_at > $4`", instead: "own + ` AND t.expires_at > $4`", suites: by(sqlite("."))},
	{file: sql("tokens.go"), what: "a list holds what has not run out", cut: "own + ` AND t.revoked_at IS NULL AND t.expires_at > $4`", instead: "own + ` AND t.revoked_at IS NULL AND t.created_at <= $4`", suites: by(sqlite("."))},
	{file: sql("tokens.go"), what: "a session is found by its own subject", cut: "t.revoked_at FROM oauth_access_tokens t WHERE `+own+` AND t.id = $4`", instead: "t.revoked_at FROM oauth_access_tokens t WHERE ($1 = $1 AND $2 = $2 AND $3 = $3) AND t.id = $4`", suites: by(sqlite("."))},
	{file: sql("tokens_tx.go"), what: "the fence of an older claim", cut: "\t\tWHERE grant_fences.claim_no < excluded.claim_no\n", instead: "", suites: by(sqlite("."))},
	{file: sql("tokens_tx.go"), what: "only what is live is ended", cut: "\t\tWHERE revoked_at IS NULL AND `", instead: "\t\tWHERE `", suites: by(sqlite("."))},
	{file: sql("tokens_tx.go"), what: "a repeated mint rotates the row of its own grant", cut: " AND revoked_at IS NULL AND grant_ref = $10", instead: " AND revoked_at IS NULL AND $10 = $10", suites: by(sqlite("."))},
	{file: sql("tokens_tx.go"), what: "a repeated mint revives nothing", cut: " AND revoked_at IS NULL AND grant_ref = $10", instead: " AND grant_ref = $10", suites: by(sqlite("."))},
	{file: sql("tokens_tx.go"), what: "an ending of all spares the one that asks", cut: "end+`account_id = $3 AND id <> $4`", instead: "end+`account_id = $3 AND $4 = $4`", suites: by(sqlite("."))},
	{file: sql("console.go"), what: "a browser is ended by its own account", cut: "`DELETE FROM console_sessions WHERE account_id = $1 AND id = $2`", instead: "`DELETE FROM console_sessions WHERE $1 = $1 AND id = $2`", suites: by(sqlite("."))},
	{file: sql("console.go"), what: "other browsers are those of the account", cut: "WHERE account_id = $1 AND id <> $2`", instead: "WHERE $1 = $1 AND id <> $2`", suites: by(sqlite("."))},
	{file: sql("console.go"), what: "no session outlives a sign-in that presented it", cut: "`DELETE FROM console_sessions WHERE token_hash = $1`", instead: "`DELETE FROM console_sessions WHERE token_hash = $1 AND 1 = 0`", suites: by(sqlite("."))},
	{file: sql("access.go"), what: "a password is set over the one that was checked", cut: " AND password_hash = $4 AND status = 'active'`", instead: " AND $4 = $4 AND status = 'active'`", suites: by(sqlite("."))},
	{file: sql("access.go"), what: "a password is set for the active", cut: " AND password_hash = $4 AND status = 'active'`", instead: " AND password_hash = $4`", suites: by(sqlite("."))},
	{file: "pkg/sqllease/leases.go", what: "a lease is taken from nobody", cut: "\t\tWHERE held.owner = excluded.owner OR held.until_at <= $4\n", instead: "\t\tWHERE $4 = $4\n", suites: by(sqlite("."))},
	{file: "pkg/sqllease/leases.go", what: "a lease is given back by its owner", cut: "WHERE name = $2 AND owner = $3 AND until_at > $1`", instead: "WHERE name = $2 AND $3 = $3 AND until_at > $1`", suites: by(sqlite("."))},
	{file: in("redisstore", "bearers.go"), what: "a tombstone outlasts a late positive", cut: "text, \"px\", ms, \"nx\")", instead: "text, \"px\", ms)", suites: by(redis("^TestBearers$"))},
	{file: in("redisstore", "bearers.go"), what: "an end leaves a tombstone", cut: `"set", s.key(d), tombstone, "px", token.BuriedFor.Milliseconds()`, instead: `"del", s.key(d)`, suites: by(redis("^TestBearers$"))},
	{file: in("redisstore", "grants_script.go"), what: "a poll is the client's own", cut: "if hot[3] ~= client then return {OTHER_CLIENT} end\n", instead: "", suites: by(redis("^TestGrants$"))},
	{file: in("redisstore", "grants_script.go"), what: "a decision is made once", cut: "if g.status ~= 'pending' then\n\treturn {g.transition == transition and 1 or 2}\nend\n", instead: "", suites: by(redis("^TestGrants$"))},
	{file: in("redisstore", "grants_script.go"), what: "no decision about what ran out", cut: "if expired(g, now) then return {0} end\n", instead: "", suites: by(redis("^TestGrants$"))},
	{file: in("redisstore", "grants_script.go"), what: "a claim is given back by its owner", cut: "if g.status == 'redeeming' and g.owner == ARGV[1] then", instead: "if g.status == 'redeeming' then", suites: by(redis("^TestGrants$"))},
	{file: in("redisstore", "grants_script.go"), what: "a claim is deleted by its owner", cut: "if g.status ~= 'redeeming' or g.owner ~= ARGV[1] then return {UNKNOWN} end\n", instead: "", suites: by(redis("^TestGrants$"))},
	{file: in("redisstore", "grants_script.go"), what: "one claimant under a lease", cut: "if status == 'pending' or (leased and holder ~= owner) then", instead: "if status == 'pending' then", suites: by(redis("^TestGrants$"))},
	{file: in("redisstore", "grants_script.go"), what: "the interval between polls", cut: "if soon ~= '' then\n", instead: "if false then\n", suites: by(redis("^TestGrants$"))},
	{file: in("redisstore", "grants_script.go"), what: "no poll of what ran out", cut: "elseif expires <= now and (status ~= 'redeeming' or lease + GRACE <= now) then", instead: "elseif false then", suites: by(redis("^TestGrants$"))},
}
