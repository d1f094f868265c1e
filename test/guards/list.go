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
	// second are guards behind or before another, and what that is. Of several that are
	// spelled alike it is all, or the one whose number stands behind: "f: !ok (1)".
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
	matrix     = "^(TestEveryRouteForEveryCaller|TestEveryOtherMethod)$"
	csrf       = "^(TestDecisionsComeFromOurOwnPages|TestCSRFOnEveryConsoleWrite)$"
	bodies     = "^(TestMediaOfBodies|TestBodiesAndHeaderBlocks)$"
	limited    = "^(TestDeviceAuthorizationLimits|TestDeviceDecisionsAreLimited|TestLimitsOfIntrospectionAndRevocation|TestWrongPasswordsAreBounded|TestOneBudgetForANetwork|TestSetUpCodeIsGuarded|TestOrderOfThePipeline|TestManyIdentitiesAtOnce)$"
	members    = "^(TestMemberMatrix|TestWorkspaces|TestWorkspacesOfOthers|TestRolesAreReadByTheAct|TestRemovingAPendingMember|TestInvitations|TestInviteLimits|TestAcceptingAnInvitation|TestActivation|TestMembersPage)$"
	company    = "^(TestExternalSubjectIsAsked|TestExternalSubjectDecides|TestExternalDecisionsAreLimited|TestDecidingOnTheApprovalPage)$"
	registered = "^(TestConsoleAppsByRole|TestConsoleAppsLife|TestAppsPagesByRole|TestAppFormsSentTwice)$"
	answered   = "^(TestHumanInput|TestDeletingAConversation)$"
	uploaded   = "^(TestUploads|TestUploadsThatAreSlow)$"
	setUp      = "^(TestBeforeSetUp|TestSetUpByPage|TestSetUpByScript)$"
)

// An entry that no row reaches today; the row that does is in the tests of all rows.
const (
	noLimit = "no row of the class has a limit of its own; TestEveryLimitOfARowIsAsked asks those that come"
	noBody  = "no row of the class takes a body; TestEveryRouteRefusesOtherMedia asks those that come"
)

// corpus is every message of docs/specs/v1.0/server/security.md against the reader.
// The tests of its rules one by one are cheaper.
var (
	corpus = suite{"sso-bridge/internal/samlsp", "^TestCorpus$"}
	// provided are the tests of what stands around the reader.
	provided = suite{"sso-bridge/internal/samlsp", "^Test(WhatAResponseIsHeldAgainst|ASignatureByAnUnknownKey|AnAssertionIsUsedOnce|ClaimsOfAnAssertion|TheNameIDAsTheSubject|Attributes|AnElementInThePlaceOfAText|TheWordForVerified|Request|AddressOfTheProvider|NoRequest|WholeResponses)$"}
	rules    = suite{"sso-bridge/internal/samlsp", "^Test(NameID|WrappedBase64|Attributes|Outside|Confirmation|Conditions|Times|Statement|Status|Structure|Encrypted|Message|Signed|SignatureMethods|SignatureKeys|SignatureShape|PrefixList|WeakAlgorithms|ExpiredCertificate|EverySignature|InheritedNamespaces)$"}
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
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "readBody", skip: []string{"len(r.media) == 0"}, suites: by(end(bodies), end(uploaded))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "bearerGuard sessionGuard", suites: by(end(matrix))},
	{file: in("httpapi", "guards.go"), errs: "*", funcs: "setUpGuard", skip: []string{"at, err := a.Installation.SetUpAt(c.UserContext()); err != nil"}, suites: by(end(setUp))},
	{file: in("httpapi", "guards_csrf.go"), errs: "*", funcs: "csrfHeaderGuard csrfFormGuard checkCSRF signInOriginGuard", suites: by(end(csrf), end(matrix)), second: map[string]string{
		"checkCSRF: binder.IsZero()": "nobody can make the token of no session",
	}},
	{file: in("httpapi", "guards_csrf.go"), errs: "*", funcs: "looseGuard", suites: by(end(csrf), end(matrix+"|TestEveryRouteWhenAStoreFails"))},
	{file: in("httpapi", "guards_csrf.go"), errs: "*", funcs: "formGuard", suites: by(end("^TestEveryFormRefusesARepeatedField$"))},
	{file: in("httpapi", "loopback.go"), errs: "*", funcs: "loopbackGuard", suites: by(end("^TestOtherLoopbackNames$"))},
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
	{file: in("authz", "app.go"), errs: "*", funcs: "reach mayReach", suites: by(own("authz"))},
	{file: in("authz", "still.go"), funcs: "Still", suites: by(own("authz"))},
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

	// Apps: who keeps them, what is run in whose name, and for how long.
	{file: in("apps", "acts.go"), funcs: "Create repeated among keeps", suites: by(own("apps"), sqlite("apps"), end(registered)), second: map[string]string{
		"Create: !canon.IsID(workspaceID)": "no workspace has such an id; it spares the question", "among: !canon.IsID(appID)": "no app has such an id; it spares the question",
	}},
	{file: in("run", "look.go"), errs: "l.still", funcs: "look still", suites: by(end("^(TestTokensOfStreams|TestRunSilence|TestRunStreams)$"))},
	{file: in("run", "held.go"), funcs: "take", skip: []string{"limit == 0"}, suites: by(end("^TestRunSlots$"))},
	{file: in("run", "ask.go"), funcs: "judge", suites: by(end("^TestRunForms$"))},
	{file: in("run", "tasks.go"), funcs: "Stop Follow", suites: by(end("^(TestStoppingATask|TestFollowingARunAgain)$"))},
	{file: in("run", "forms.go"), funcs: "Form Submit DeleteConversation", suites: by(end(answered))},
	{file: in("run", "files.go"), errs: "mime.ParseMediaType", funcs: "check of fileName Upload Read", suites: by(own("run"), end(uploaded))},
	{file: in("httpapi", "files.go"), errs: "server.Read", funcs: "uploadFile", suites: by(end(uploaded))},
	{file: "pkg/server/reading.go", funcs: "Read", suites: by(unit("pkg/server"), end(uploaded))},
	{file: "pkg/wire/onepart.go", errs: "*", funcs: "OnePart alone Read", suites: by(unit("pkg/wire")), second: map[string]string{
		`OnePart: boundary == ""`: "the parser takes no empty boundary", "OnePart: err != nil (1)": "of what cannot be parsed no boundary is left", `OnePart: part.Header.Get(endMark) != ""`: "the part that is made has no disposition",
	}},
	{file: in("memstore", "slots.go"), funcs: "Take", suites: by(own("memstore"))},

	// What runtimes are asked, and where.
	{file: "pkg/egress/runtime.go", errs: "r.guard.target", funcs: "NewRuntime Base send", suites: by(unit("pkg/egress"))},
	{file: "pkg/egress/runtime_judge.go", errs: "*", funcs: "newRuntimeGuard placeOf isPort target judge within named contains isOwn opensOwn", suites: by(unit("pkg/egress")), second: map[string]string{
		`placeOf: return a.Zone() == "" (2)`: "a zone takes in what follows, and is refused before", "isPort: return err == nil": "what is no number is none above zero", `target: u.Host == ""`: "no name is empty", `target: u.Opaque != ""`: "what is opaque has no host",
		"isOwn: !a.IsValid()": "no range holds the address of nobody", "judge: !a.IsValid()": "whoever looks names up gives addresses", "judge: metadata[inside]": "the address inside is judged by itself", `named: return p.name != ""`: "no host is empty", `contains: return p.name == ""`: "no address is in the range of a name",
	}},
	{file: in("serviceapi", "request.go"), funcs: "segment known", suites: by(own("serviceapi"))},
	{file: in("serviceapi", "answer.go"), funcs: "sentence word tells scrubbed within missing", skip: []string{"length > most"}, suites: by(own("serviceapi"))},
	{file: in("serviceapi", "upload.go"), funcs: "frame Read", suites: by(own("serviceapi"))},
	{file: in("serviceapi", "stream.go"), funcs: "stream", suites: by(own("serviceapi")), second: map[string]string{
		"stream: answer.StatusCode == http.StatusOK": "a 200 that is read for a refusal comes to the same failure",
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
	{file: "pkg/canon/text.go", errs: "*", funcs: "Text Kept plain joined hides turns", suites: by(unit("pkg/canon"))},
	{file: "pkg/canon/canon.go", errs: "*", funcs: "Email UserCode IsID", suites: by(unit("pkg/canon")), second: map[string]string{
		"Email: len(s) < minEmail": "one @ between two characters is three", "UserCode: r > unicode.MaxASCII": "the alphabet has no other symbol",
		"IsID: len(s) != 36": "the spelling is compared", "IsID: return err == nil": "what is no UUID is not spelled like one",
	}},

	// What SAML messages are refused for, rule by rule; the corpus holds a message for each.
	{file: bridge("xmlscan", "scan.go"), errs: "*", funcs: "plain tokens token chars start end spelling", suites: by(bridged("xmlscan"), corpus), second: map[string]string{
		`plain: !s.limits.Comments && bytes.Contains(t, []byte("<!"))`: "the tokens are read after it, and refuse directives",
		"token: !s.limits.Comments":                                    "the bytes are looked through before",
	}},
	{file: bridge("xmlscan", "names.go"), errs: "*", funcs: "declaration declare bindable lookup names expand identifiers", suites: by(bridged("xmlscan"), corpus), second: map[string]string{
		`names: strings.Contains(a.Name.Local, ":") (1)`: "the decoder takes no name of two colons",
		`names: a.Name.Local == ""`:                      "the decoder leaves the colon in such a name",
		`expand: n.Local == ""`:                          "the decoder leaves the colon in such a name",
		`expand: strings.Contains(n.Space, ":")`:         "the decoder takes no name of two colons",
	}},
	{file: bridge("samlsp", "read_message.go"), errs: "*", funcs: "unwrapped message", suites: by(rules, corpus), second: map[string]string{
		"message: len(response) > maxEncoded":                                      "the scan bounds what it decodes to; it spares the decoding",
		"message: err := tree.ReadFromBytes(document.Bytes()); err != nil":         "the scan has read it",
		"message: err := tree.ReadFromBytes(document.Bytes()); tree.Root() == nil": "the scan has found a root",
	}},
	{file: bridge("samlsp", "structure.go"), funcs: "structure", suites: by(rules, corpus)},
	{file: bridge("samlsp", "signature.go"), errs: "*", funcs: "signatures place form reference transforms prefixList sequence bare attributesOf signatureValue", suites: by(rules, corpus), second: map[string]string{
		"signatures: len(s.signatures) == 0":                                 "the policy refuses it after",
		"place: other.parent == parent":                                      "one alone can stand right behind the Issuer",
		`reference: uri, there := attribute(el, "URI"); !there`:              "an ID is never empty",
		`reference: uri, there := attribute(el, "URI"); id == ""`:            "what has no ID is refused before",
		"sequence: return i == len(names)-1":                                 "the one name that may be absent is the last",
		"bare: return there":                                                 "no algorithm is named by nothing",
		"reference: sum, err := base64.StdEncoding.DecodeString(value); !ok": "what is no text is empty, and no digest",
		"signatureValue: !ok":                                                "what is no text is empty, and no signature",
		`prefixList: _, ok := scope[p]; p == ""`:                             "a list is split into no empty prefixes",
	}},
	{file: bridge("samlsp", "verified.go"), errs: "check(el r.trusted", funcs: "verify policy vouched trusted fits", suites: by(rules, corpus), second: map[string]string{
		`verify: rule := response.holds(responseParts...); rule != ""`: "the same children were counted before",
		"verify: rule := response.holds(responseParts...); !ok":        "the same children were counted before",
		"policy: return response || assertion":                         "a message without a signature does not come so far",
		"vouched: !ok":                                                 "crypto/x509 verifies by no key of another kind",
		"fits: !sig.method.ecdsa":                                      "crypto/x509 verifies by no key of another kind",
		"fits: return err == nil":                                      "two numbers can always be written",
	}},
	{file: bridge("samlsp", "envelope.go"), errs: "*", funcs: "outside issuer answers", suites: by(rules, corpus)},
	{file: bridge("samlsp", "status.go"), funcs: "success statusOf onlyOf", suites: by(rules, corpus), second: map[string]string{
		"onlyOf: found != nil": "the inventory counts too",
	}},
	{file: bridge("samlsp", "conditions.go"), errs: "*", funcs: "confirmed confirmation conditions audience window", suites: by(rules, corpus)},
	{file: bridge("samlsp", "times.go"), errs: "*", funcs: "parseTime age life", suites: by(rules, corpus)},
	{file: bridge("samlsp", "statements.go"), errs: "*", funcs: "authenticated statement contextClass", suites: by(rules, corpus)},
	{file: bridge("samlsp", "attributes.go"), errs: "*", funcs: "nameID attributes readAttribute isNil", suites: by(rules, corpus), second: map[string]string{
		"nameID: !ok (1)": "S11 has found the Subject",
		"nameID: !ok (3)": "what is no text is empty",
	}},
	{file: bridge("samlsp", "tree.go"), funcs: "only is text inventory match", suites: by(rules, corpus), second: map[string]string{
		"inventory: data, isText := c.(*etree.CharData); !isText": "the scan lets neither comments nor instructions through",
	}},

	{file: bridge("samlsp", "provider.go"), errs: "spend", funcs: "Verify judge unknownKey spend", suites: by(provided)},
	{file: bridge("samlsp", "claims.go"), errs: "*", funcs: "texts one extract identifies", suites: by(provided)},
	{file: bridge("samlsp", "request.go"), funcs: "Address redirect", suites: by(provided)},
	{file: bridge("redisstore", "assertions.go"), what: "an assertion is used once", cut: `"1", "nx", "px"`, instead: `"1", "px"`, suites: by(bridged("redisstore"))},

	// What comes to the consumer service, and how many wait there.
	{file: bridge("httpapi", "acs.go"), errs: "*", funcs: "consume readResponse", suites: by(bridged("httpapi"))},
	{file: bridge("httpapi", "callback.go"), errs: "*", funcs: "form one", suites: by(bridged("httpapi")), second: map[string]string{
		"form: media, ok := wire.MediaType(c.Get(fiber.HeaderContentType)); !ok": "what is no type is not the form's",
	}},
	{file: bridge("httpapi", "readers.go"), funcs: "Take", suites: by(bridged("httpapi"))},

	// What is taken of a provider's metadata, and what is held.
	{file: bridge("idpmetadata", "metadata.go"), errs: "*", funcs: "Parse provider endpoints signingKeys", suites: by(bridged("idpmetadata")), second: map[string]string{
		"Parse: doc, err := xmlscan.Scan(bytes.TrimPrefix(text, mark), Limits); err != nil": "of what the scan refuses nothing is left to read",
		"Parse: root, err := tree(doc); err != nil":                                         "the scan has read it",
		"Parse: idp.Certificates, err = signingKeys(role); err != nil":                      "a provider without a certificate is refused as well",
	}},
	{file: bridge("idpmetadata", "check.go"), errs: "*", funcs: "Checked isEntityID visible IsAddress Clashes", suites: by(bridged("idpmetadata")), second: map[string]string{
		"Clashes: u, err := url.Parse(address); err != nil": "what is no address is refused before",
	}},
	{file: bridge("idpmetadata", "certificate.go"), errs: "*", funcs: "Kept certificate strong", suites: by(bridged("idpmetadata"), bridged("connection"))},
	{file: bridge("idpmetadata", "terms.go"), funcs: "moment duration", suites: by(bridged("idpmetadata"))},
	{file: bridge("idpsource", "service.go"), funcs: "current first rests mayAsk", suites: by(bridged("idpsource"))},
	{file: bridge("idpsource", "refresh.go"), funcs: "check hold", suites: by(bridged("idpsource"))},
	{file: bridge("idpsource", "decide.go"), errs: "addressOf placeOf", funcs: "addressOf decide", skip: []string{"oidc := c.Config.OIDC; oidc != nil && oidc.Endpoints == nil"}, suites: by(bridged("idpsource"))},

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
	{file: sql("runs.go"), what: "a run is found in its own app", cut: "FROM app_runs WHERE app_id = $1 AND subject_key", instead: "FROM app_runs WHERE $1 = $1 AND subject_key", suites: by(sqlite("runs"))},
	{file: sql("runs.go"), what: "a run is found by its own subject", cut: "AND subject_key = $2 AND", instead: "AND $2 = $2 AND", suites: by(sqlite("runs"))},
	{file: sql("runs.go"), what: "a run that is over stays so", cut: " AND finished_at IS NULL`", instead: "`", suites: by(sqlite("runs"))},
	{file: sql("runs.go"), what: "a task keeps its first run", cut: "\n\t\tON CONFLICT (app_id, task_id) DO NOTHING`", instead: "\n\t\tON CONFLICT (app_id, task_id) DO UPDATE SET subject_key = excluded.subject_key`", suites: by(sqlite("runs"))},
	{file: sql("apps.go"), what: "a role is that of the caller", cut: "m.workspace_id = p.workspace_id AND m.account_id = $2", instead: "m.workspace_id = p.workspace_id AND $2 = $2", suites: by(sqlite("apps"))},
	{file: sql("apps.go"), what: "a list of access names the caller", cut: "x.app_id = p.id AND x.account_id = $2", instead: "x.app_id = p.id AND $2 = $2", suites: by(sqlite("apps"))},
	{file: sql("apps.go"), what: "the apps of a workspace are its own", cut: "WHERE p.workspace_id = $1 AND w.status = 'normal'", instead: "WHERE $1 = $1 AND w.status = 'normal'", suites: by(sqlite("apps"))},
	{file: sql("apps.go"), what: "the permitted list has modes of its own", cut: "p.api_enabled = $6 AND p.access_mode IN ('public', 'sso_verified')`", instead: "p.api_enabled = $6`", suites: by(sqlite("apps"))},
	{file: in("redisstore", "slots.go"), what: "as many slots as the limit", cut: "if limit > 0 and not redis.call('ZSCORE', key, holder) and redis.call('ZCARD', key) >= limit then return 0 end\n", instead: "", suites: by(redis("^TestSlots$"))},
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
